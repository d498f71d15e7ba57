package lease_test

import (
	"path/filepath"
	"strings"
	"testing"

	"crisper/beat/lease"

	"github.com/redis/go-redis/v9"
)

func TestTheKindThatIsOpenedIsTheOneThatWasAskedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "lease")
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for _, c := range []struct {
		spec       lease.Spec
		want, fail string
	}{
		{lease.Spec{Path: path}, "file " + path, ""},
		{lease.Spec{Kind: lease.File, Path: path}, "file " + path, ""},
		{lease.Spec{Kind: lease.Redis, RedisURL: "redis://localhost:1/2"}, "Redis key crisper.lease.crisper-beat", ""},
		{lease.Spec{Kind: lease.Redis, Name: "mine", Redis: &redis.Options{Addr: "localhost:1"}}, "Redis key crisper.lease.mine", ""},
		{lease.Spec{Kind: lease.Redis}, "", "needs the URL"},
		{lease.Spec{Kind: lease.Redis, RedisURL: "redis://:pass word@host:x y"}, "", "cannot be read"},
		{lease.Spec{Kind: lease.Kubernetes}, "", "as a pod does"},
		{lease.Spec{Kubeconfig: path + ".missing"}, "", "kubeconfig"},
		{lease.Spec{Kind: "zookeeper"}, "", "none of kubernetes, file, redis"},
	} {
		b, err := lease.Open(c.spec)
		if c.fail != "" {
			if err == nil || !strings.Contains(err.Error(), c.fail) || strings.Contains(err.Error(), "pass word") {
				t.Errorf("%+v: %v", c.spec, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", c.spec, err)
			continue
		}
		if b.String() != c.want {
			t.Errorf("%+v opens %s", c.spec, b)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
