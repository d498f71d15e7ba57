#!/usr/bin/env bash
# cluster.sh: builds the control plane that tests run against (etcd, kube-apiserver) into
# .cache/cluster/bin, from the modules that integration/cluster/go.mod locks. The first
# time takes some minutes; does nothing when it is up to date. JOBS=1 leaves cores to others.
set -euo pipefail
cd "$(dirname "$0")/../.."
go=${GO:-go}
cache=$PWD/.cache/cluster
programs=(kube-apiserver etcd)
packages=(k8s.io/kubernetes/cmd/kube-apiserver go.etcd.io/etcd/server/v3)

command -v "$go" >/dev/null || { echo "cluster: Go is missing; install the version that go.mod names" >&2; exit 1; }

# The stamp has everything that the programs were made from.
stamp=$("$go" env GOVERSION GOOS GOARCH; cat integration/cluster/go.mod integration/cluster/go.sum "integration/tools/cluster.sh")
current() {
    for program in "${programs[@]}"; do [ -x "$cache/bin/$program" ] || return 1; done
    [ "$(cat "$cache/stamp" 2>/dev/null)" = "$stamp" ]
}

if current; then echo "cluster: .cache/cluster/bin is up to date"; exit 0; fi
mkdir -p "$cache"
# Two runs at once would compile everything twice; where there is no flock they may.
if command -v flock >/dev/null; then
    exec 9>"$cache/lock"
    flock -n 9 || { echo "cluster: another run is building; waiting for it"; flock 9; }
    if current; then echo "cluster: .cache/cluster/bin is up to date"; exit 0; fi
fi

# Static, without paths, and the same for everything of Kubernetes, so that a package
# which is compiled once is compiled for all. go.work files are somebody else's.
export CGO_ENABLED=0 GOWORK=off GOOS= GOARCH=
cd integration/cluster
version=$("$go" list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${version#v1.}
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do # a build from modules calls itself v0.0.0 otherwise
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
    flags+=" -X $package.gitCommit=module -X $package.gitTreeState=clean -X $package.buildDate=1970-01-01T00:00:00Z"
done

echo "cluster: fetching the modules of kube-apiserver $version and etcd $("$go" list -m -f '{{.Version}}' go.etcd.io/etcd/server/v3)"
total=$("$go" list -deps "${packages[@]}" | wc -l)
echo "cluster: compiling up to $total packages; minutes the first time, seconds once Go has them in its cache"

# -v names each package as it is compiled; anything else that is said is an error's text.
progress() {
    local done=0 line
    while IFS= read -r line; do
        case $line in
            "" | *" "* | "#"*) echo "$line" ;;
            *) done=$((done + 1))
               [ $((done % 200)) -ne 0 ] || echo "cluster: $done of $total packages after $SECONDS s" ;;
        esac
    done
}
new=$(mktemp -d "$cache/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
nice "$go" build -v -trimpath -buildvcs=false ${JOBS:+-p "$JOBS"} -ldflags "$flags" -o "$new/" "${packages[@]}" 2>&1 | progress || {
    echo "cluster: the control plane could not be built; is the module proxy reachable?" >&2
    exit 1
}
mv "$new/server" "$new/etcd" # etcd's own name for its program

mkdir -p "$cache/bin"
rm -f "$cache/stamp"
mv "$new"/* "$cache/bin/"
printf '%s\n' "$stamp" >"$cache/stamp"
echo "cluster: built ${programs[*]} into .cache/cluster/bin in $SECONDS s"
