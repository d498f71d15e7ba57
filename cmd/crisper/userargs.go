package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// takesUserOptions marks a command that hands unknown options to the app.
const takesUserOptions = "user options"

// allFlags are the flags that a command understands, wherever they were defined.
func allFlags(cmd *cobra.Command) *pflag.FlagSet {
	cmd.InitDefaultHelpFlag()
	flags := pflag.NewFlagSet(cmd.Name(), pflag.ContinueOnError)
	flags.SetNormalizeFunc(cmd.Flags().GetNormalizeFunc())
	flags.AddFlagSet(cmd.Flags())
	flags.AddFlagSet(cmd.InheritedFlags())
	return flags
}

// forTheApp moves the options that are not ours behind a "--", in their order:
// apps add options of their own to Celery's worker (app.user_options), and only
// the app knows which, and whether they take a value. A word after such an option
// goes with it; click, which reads them, tells a value from a name=value.
func forTheApp(args []string, flags *pflag.FlagSet) []string {
	var ours, theirs []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			theirs = append(theirs, args[i+1:]...)
			break
		}
		known, takesNext := lookUp(arg, flags)
		to := &ours
		if !known {
			to = &theirs
			takesNext = !strings.Contains(arg, "=") && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-")
		}
		*to = append(*to, arg)
		if takesNext && i+1 < len(args) {
			i++
			*to = append(*to, args[i])
		}
	}
	if len(theirs) == 0 {
		return args
	}
	return append(append(ours, "--"), theirs...)
}

// lookUp tells whether an argument is ours, and whether the next is its value.
func lookUp(arg string, flags *pflag.FlagSet) (known, takesNext bool) {
	if long, ok := strings.CutPrefix(arg, "--"); ok {
		name, _, hasValue := strings.Cut(long, "=")
		flag := flags.Lookup(name)
		return flag != nil, flag != nil && flag.NoOptDefVal == "" && !hasValue
	}
	short, ok := strings.CutPrefix(arg, "-")
	if !ok || short == "" {
		return true, false
	}
	for i := range short { // -Ec4: flags without a value may stand together
		flag := flags.ShorthandLookup(short[i : i+1])
		if flag == nil {
			return false, false
		}
		if flag.NoOptDefVal == "" {
			return true, i == len(short)-1
		}
	}
	return true, false
}
