// Package options is the one table of everything that `crisper worker` can be
// told: flags, environment variables, help, reference page and configuration are
// all made from it, so that they cannot disagree.
//
// Celery's own options are in celery.go, with the spelling, the environment
// variables and the meaning that Celery gives them; a golden list taken from
// Celery's parser makes the tests fail when a release adds one. Each is honoured,
// given to Python, accepted because it changes nothing here, or refused by name.
// None is ignored in silence. Ours are in own.go.
//
// Value by value, the first of these that says something wins: the command line,
// the environment, and then whatever the app's configuration says (for Celery's
// options) or the default (for ours).
package options

// Kind says how an option's text is read.
type Kind uint8

// The kinds.
const (
	Text Kind = iota
	Flag
	Count       // a whole number, 0 or more
	Seconds     // a number of seconds, fractions allowed
	Duration    // 30, 30s, 5m
	Memory      // KiB, or with a unit: 300Mi
	Fraction    // between 0 and 1
	List        // a,b,c
	Choice      // one of Choices
	Level       // a log level
	Autoscale   // max,min
	Concurrency // a whole number or auto
	Octal       // 022
	Address     // host:port, or off
)

// Who says what becomes of an option.
type Who string

// The fates.
const (
	Crisper  Who = "Crisper"         // honoured by the supervisor
	Python   Who = "the app"         // given to Celery inside the zygote
	Both     Who = "Crisper and app" // both need it
	Harmless Who = "accepted"        // changes nothing here; Note says why
	Later    Who = "accepted, warns" // does nothing yet; Note says so at start
	Refused  Who = "refused"         // Note says why and what to do instead
	// Elsewhere is what only Celery's own worker has: it takes --runtime=celery.
	Elsewhere Who = "celery runtime"
)

// Option is one row.
type Option struct {
	Name    string   // long, without dashes
	Aliases []string // other long spellings
	Short   string   // one letter
	Kind    Kind
	Choices []string
	Metavar string
	Default string // the documented default; "" when the app decides
	Group   string
	Who     Who
	Env     []string // looked up in this order
	Help    string
	// Note is the reason for what is special about it, for the reference page; for
	// Refused and Later it is the sentence that people see.
	Note string
	// Key is the name under which Celery's WorkController takes the value; empty
	// when it does not.
	Key string
	// Own marks what Celery does not have.
	Own bool
}

// The groups, in the order of the help page.
const (
	groupGlobal   = "Global options"
	groupWorker   = "Worker options"
	groupPool     = "Pool options"
	groupQueues   = "Queue options"
	groupFeatures = "Features"
	groupBeat     = "Embedded Beat options"
	groupDaemon   = "Process options"
	groupChildren = "Children and memory"
	groupDrain    = "Drain and delivery"
	groupOps      = "Operations"
	groupExec     = "Options of exec"
	groupExecPool = "Options of exec, for a pool of Celery workers"
	groupBeatCmd  = "Options of beat, Celery's"
	groupElection = "Options of beat, ours"
)

// Groups returns the groups in the order of the help page.
func Groups() []string {
	return []string{groupGlobal, groupWorker, groupPool, groupQueues, groupFeatures, groupBeat, groupDaemon,
		groupChildren, groupDrain, groupOps, groupExec, groupExecPool, groupBeatCmd, groupElection}
}

// All returns every option of `crisper worker`.
func All() []Option { return append(append(Global(), Worker()...), Own()...) }
