package harness

import (
	"os"
	"path/filepath"
	"testing"
)

// Observers is a Celery with what watches workers or lives inside their tasks: Flower,
// Sentry, OpenTelemetry and Django. CRISPER_TEST_PYTHON_OBSERVERS, then .cache/observers.
func Observers(t *testing.T) Options {
	t.Helper()
	return Options{Python: interpreter(t, "CRISPER_TEST_PYTHON_OBSERVERS", "observers")}
}

// Exporter is the interpreter that has celery-exporter, which cannot be installed beside
// the newest Celery. CRISPER_TEST_PYTHON_EXPORTER, then .cache/exporter.
func Exporter(t *testing.T) string {
	t.Helper()
	return interpreter(t, "CRISPER_TEST_PYTHON_EXPORTER", "exporter")
}

func interpreter(t *testing.T, variable, venv string) string {
	t.Helper()
	root, err := findRoot()
	Must(t, err)
	return orElse(os.Getenv(variable), filepath.Join(root, ".cache", venv, "bin", "python"))
}
