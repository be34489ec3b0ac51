#!/usr/bin/env bash
# Runs training steps on one thread and on several, turn by turn, and prints how much faster several are: the ratio of the medians, and
# what a line of the cache takes from core to core, in nanoseconds, before each round.
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
  "$dtokd" bench peak --threads "$threads" >>"$lines"
  for workload in "${workloads[@]}"; do
    read -ra words <<<"$workload"
    "$dtokd" bench "${words[@]}" --threads "$threads" >>"$lines"
    "$dtokd" bench "${words[@]}" --threads 1 >>"$lines"
  done
done

python3 - "$threads" "$lines" <<'PYTHON'
import json, statistics, sys
threads = int(sys.argv[1])
rows = [json.loads(line) for line in open(sys.argv[2])]
print('exchange ns:', *(row['exchange_ns'] for row in rows if row['what'] == 'peak'))
print(f"{'workload':46} {'1 thread ms':>12} {f'{threads} threads ms':>12} {'ratio':>8} {'ratio range':>15}")
for what in dict.fromkeys(row['what'] for row in rows if row['what'] != 'peak'):
    several, one = ([row['median_ms'] for row in rows if row['what'] == what and row['threads'] == n] for n in (threads, 1))
    ratios = [a / b for a, b in zip(one, several)]
    one, several = statistics.median(one), statistics.median(several)
    print(f"{what:46} {one:12.2f} {several:12.2f} {one / several:8.2f} {f'{min(ratios):.2f}-{max(ratios):.2f}':>15}")
PYTHON
