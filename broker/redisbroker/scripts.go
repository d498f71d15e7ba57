package redisbroker

import (
	_ "embed" // the scripts
	"strings"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed lua/take.lua
	takeText string
	//go:embed lua/settle.lua
	settleText string
	//go:embed lua/renew.lua
	renewText string
	//go:embed lua/presence.lua
	presenceText string
	//go:embed lua/adopt.lua
	adoptText string
	//go:embed lua/bury.lua
	buryText string
	//go:embed lua/suspect.lua
	suspectText string
	//go:embed lua/visible.lua
	visibleText string
	//go:embed lua/unlock.lua
	unlockText string
)

var (
	takeScript     = script(takeText)
	settleScript   = script(settleText)
	renewScript    = script(renewText)
	presenceScript = script(presenceText)
	adoptScript    = script(adoptText)
	buryScript     = script(buryText)
	suspectScript  = script(suspectText)
	visibleScript  = script(visibleText)
	unlockScript   = script(unlockText)
)

// page bounds the tags in one script call: Lua's unpack has a limit of some
// thousands, and a long script stops the server for everybody.
const page = 500

func script(text string) *redis.Script { return redis.NewScript(strings.TrimSpace(text)) }
