"""An app that does not import: its traceback is what the user must see."""

raise RuntimeError("the settings are not there")
