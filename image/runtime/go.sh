# SPDX-License-Identifier: Apache-2.0
# What the builds of the two Go modules share; sourced by image/kube/build and by the build beside it.
#
#   go.mod go.sum *.go, the scripts, the compilers' versions ─► key ─► cache ─► OUT_DIR
#
# The key holds nothing of time, place or user, and neither does what is built: the same key means
# the same bytes. The cache is outside the tree, so that a fresh clone need not build again.

say() { printf '%s: %s\n' "$module" "$*"; }

refuse() {
    printf '%s: %s\n' "$module" "$*" >&2
    exit 1
}

# Everything that a person's environment could change in the bytes, settled.
settle_environment() {
    umask 022
    export LC_ALL=C GOFLAGS=-mod=readonly GOOS=linux GOARCH=amd64 GOAMD64=v1 GOEXPERIMENT= GOWORK=off
    # A Go older than go.mod asks for (Debian 13's) fetches the right one through the module proxy.
    export GOTOOLCHAIN=auto
}

# A Go before 1.21 (Debian 12's) cannot fetch another and does not even understand go.mod.
find_go() {
    wanted=$(sed -n 's/^go //p' go.mod)
    advice="install Go $wanted or newer: apt-get install golang-go on Debian 13, https://go.dev/doc/install elsewhere"
    command -v go >/dev/null || refuse "there is no go here; $advice"
    go=$(go env GOVERSION 2>/dev/null) || refuse "the go here could not become Go $wanted; $advice"
    newest=$(printf '%s\n' "go$wanted" "$go" | sort -V | tail -n 1)
    [ "$newest" = "$go" ] || refuse "the go here is $go; $advice"
}

# version MODULE: what go.mod says; the programs are told their version from it.
version() {
    found=$(sed -n "s|^\(require \)*[[:space:]]*$1 \(v[^ ]*\).*|\2|p" go.mod)
    [ -n "$found" ] || refuse "go.mod names no version of $1"
    echo "$found"
}

# from_cache TREE OUT_DIR WHAT_ELSE_COUNTS: copies what `make_TREE DIR` builds, building it only when no
# build of the same key is there. A build that is cut short leaves no entry: it is renamed last.
from_cache() {
    tree=$1 out=$2
    key=$({ echo "$tree" "$go" "$3"; cat go.mod go.sum ./*.go build ../runtime/go.sh; } | sha256sum | cut -c 1-32)
    cache=${KUBERMESH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kubermesh}/$module
    if [ ! -d "$cache/$key" ]; then
        mkdir -p "$cache"
        fresh=$(mktemp -d "$cache/fresh.XXXXXX")
        trap 'rm -rf "$fresh"' EXIT
        trap 'exit 130' INT TERM
        began=$(date +%s)
        "make_$tree" "$fresh"
        chmod -R u=rwX,go=rX "$fresh"
        # Another build of the same key may have been quicker; its bytes are the same.
        [ -d "$cache/$key" ] || mv -T "$fresh" "$cache/$key"
        say "$tree built in $(($(date +%s) - began)) s"
    else
        touch "$cache/$key"
        say "$tree is in the cache ($key)"
    fi
    # What nothing used for a month, or a build that was killed left behind.
    find "$cache" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} +
    mkdir -p "$out"
    cp -a "$cache/$key/." "$out/"
}

# compile GO_BUILD_ARGUMENTS…: on all cores, but never in the way of whoever sits at the machine. A word each
# hundred packages shows that it goes on; what is not a package's name is the compiler's and is shown as it is.
compile() {
    { nice go build -v -trimpath -buildvcs=false "$@" 2>&1 || echo "go build failed"; } | awk -v module="$module" '
        /^go build failed$/ { failed = 1; next }
        /^[a-z0-9][^ :]*$/ { if (++packages % 100 == 0) print module ": " packages " packages compiled"; fflush(); next }
        { print > "/dev/stderr" }
        END { exit failed }' ||
        refuse "not built, for the reason above; modules come once from $(go env GOPROXY), which must be reachable"
}
