package redisbeat

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"crisper/beat"
)

// Sizes of one script call: Lua's unpack has a limit of some thousands, and a long
// script stops the server for everybody.
const (
	registerPage = 500
	publishPage  = 256
)

// Register implements beat.Publisher.
func (p *Publisher) Register(ctx context.Context, token uint64, fresh map[string]beat.Record) (map[string]beat.Record, error) {
	if token != p.term {
		p.term = token
		clear(p.doubt)
	}
	known := make(map[string]beat.Record, len(fresh))
	names := slices.Sorted(maps.Keys(fresh))
	for first := true; first || len(names) > 0; first = false { // an empty schedule checks the token, too
		page := names[:min(registerPage, len(names))]
		names = names[len(page):]
		if err := p.registerPage(ctx, token, page, fresh, known); err != nil {
			return nil, fmt.Errorf("cannot register the entries: %w", err)
		}
	}
	if err := p.forget(ctx, token, fresh); err != nil {
		return nil, fmt.Errorf("cannot drop the records of former entries: %w", err)
	}
	return known, nil
}

func (p *Publisher) registerPage(ctx context.Context, token uint64, page []string, fresh, known map[string]beat.Record) error {
	args := make([]any, 1, 1+2*len(page))
	args[0] = strconv.FormatUint(token, 10)
	for _, name := range page {
		args = append(args, name, record{last: fresh[name].Last.UnixMicro(), count: fresh[name].Count}.String())
	}
	var answer []string
	err := p.call(ctx, func(ctx context.Context, c *redis.Client) (err error) {
		answer, err = eval(ctx, c, registerScript, []string{p.token, p.record}, args)
		return err
	})
	if err != nil {
		return err
	}
	for i, text := range answer {
		r, err := parseRecord(text)
		if err != nil {
			return fmt.Errorf("entry %q: %w", page[i], err)
		}
		known[page[i]] = r.known()
	}
	return nil
}

// forget drops all records but those of the registered entries.
func (p *Publisher) forget(ctx context.Context, token uint64, fresh map[string]beat.Record) error {
	var former []any
	err := p.call(ctx, func(ctx context.Context, c *redis.Client) error {
		n, err := c.HLen(ctx, p.record).Result()
		if err != nil || n == int64(len(fresh)) {
			return err
		}
		names, err := c.HKeys(ctx, p.record).Result()
		for _, name := range names {
			if _, stays := fresh[name]; !stays {
				former = append(former, name)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	for page := range slices.Chunk(former, registerPage) {
		args := append([]any{strconv.FormatUint(token, 10)}, page...)
		err := p.call(ctx, func(ctx context.Context, c *redis.Client) error {
			_, err := eval(ctx, c, forgetScript, []string{p.token, p.record}, args)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
