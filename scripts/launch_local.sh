#!/usr/bin/env bash
# Trains with several workers on this machine, to try out what several hosts do.
#
#   scripts/launch_local.sh 2 -- --latent_dim 20 --epochs 5
#
# The flags are those of train.py. Worker 0 is seen here; what the others say is shown
# if they fail. PYTHON names the interpreter.

set -u

if [[ $# -lt 2 || ! $1 =~ ^[1-9][0-9]?$ || $2 != -- ]]; then
    echo "usage: scripts/launch_local.sh N -- [flags of train.py], with N from 1 to 99" >&2
    exit 2
fi
count=$1
shift 2
python=${PYTHON:-python}
train=$(dirname "${BASH_SOURCE[0]}")/train.py

addresses=$("$python" - "$count" <<'PORTS'
import socket, sys

taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in taken))
PORTS
) || { echo "launch_local.sh: no Python to run: set PYTHON" >&2; exit 2; }

said=$(mktemp -d)
workers=()
stopped=0

# Ctrl-C does not reach what a script starts in the background.
stop() {
    stopped=$1
    kill -TERM "${workers[@]}" 2>/dev/null
}
trap 'stop 130' INT
trap 'stop 143' TERM

for ((index = count - 1; index >= 0; index--)); do
    command=("$python" "$train" "$@" --workers "$addresses" --worker_index "$index")
    if ((index == 0)); then
        "${command[@]}" &
    else
        "${command[@]}" >"$said/$index" 2>&1 &
    fi
    workers[index]=$!
done

code=0
for ((index = 0; index < count; index++)); do
    # A signal ends `wait` before the worker has ended.
    while wait "${workers[index]}"; ended=$?; kill -0 "${workers[index]}" 2>/dev/null; do :; done
    if ((ended != 0)); then
        ((code == 0)) && code=$ended
        if ((index > 0 && stopped == 0)); then
            echo "launch_local.sh: worker $index ended with code $ended and said last:" >&2
            tail -n 3 "$said/$index" >&2
        fi
    fi
done
rm -rf "$said"
exit $((stopped ? stopped : code))
