#!/usr/bin/env bash
# Runs training steps on one thread and on several, turn by turn, and prints how much faster several are: the ratio of the medians, of
# all pairs of runs and of the near ones. Near are those before and after which a line of the cache went from core to core about as fast
# as it ever did: a virtual machine's cores may share an L3 in one minute and not in the next.
#
#   benchmarks/scaling.sh                        the steps of compare.sh
#   benchmarks/scaling.sh "step regnety_004 16"  one; a workload is what `dtokd bench` takes
#
#   THREADS   threads that are compared with one [all processors]
#   ROUNDS    runs of each [5]
set -euo pipefail
cd "$(dirname "$0")/.."
threads=${THREADS:-$(nproc)}
rounds=${ROUNDS:-5}
if [ "$threads" -lt 2 ]; then
  echo "scaling.sh: one thread is compared with several, but THREADS is $threads" >&2
  exit 2
fi

workloads=("$@")
if [ ${#workloads[@]} -eq 0 ]; then
  workloads=(
    "step deit_tiny_patch16_224 16" "step deit_small_patch16_224 8"
    "step swin_nano_patch4_window7_224 8" "step swin_tiny_patch4_window7_224 4" "step regnety_004 16")
fi

dotnet build -c Release training/DtoKd.Cli --nologo -v q >&2
dtokd=training/DtoKd.Cli/bin/Release/net10.0/dtokd

# A run of every workload before the next of the first: a bad minute of a shared machine then hits all of them.
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
for ((round = 0; round < rounds; round++)); do
  for workload in "${workloads[@]}"; do
    read -ra words <<<"$workload"
    "$dtokd" bench peak --threads "$threads" >>"$lines"
    "$dtokd" bench "${words[@]}" --threads "$threads" >>"$lines"
    "$dtokd" bench "${words[@]}" --threads 1 >>"$lines"
  done
done
"$dtokd" bench peak --threads "$threads" >>"$lines"

python3 - "$threads" "$lines" <<'PYTHON'
import json, statistics, sys
threads = sys.argv[1]
rows = [json.loads(line) for line in open(sys.argv[2])]
exchanges = [row['exchange_ns'] for row in rows[0::3]]
pairs = {}
for several, one, *exchange in zip(rows[1::3], rows[2::3], exchanges, exchanges[1:]):
    near = max(exchange) < 2 * min(exchanges)
    pairs.setdefault(one['what'], []).append((one['median_ms'], several['median_ms'], near))

def scaling(pairs):
    if not pairs:
        return f'{"":12} {"":12} {"":8}'
    one, several = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
    return f'{one:12.2f} {several:12.2f} {one / several:8.2f}'

heads = f"{'1 thread ms':>12} {threads + ' threads ms':>12} {'ratio':>8}"
print(f"{'workload':46} {'pairs':>6} {heads}   {'near':>6} {heads}")
for what, measured in pairs.items():
    near = [pair for pair in measured if pair[2]]
    print(f'{what:46} {len(measured):6} {scaling(measured)}   {len(near):6} {scaling(near)}')
PYTHON
