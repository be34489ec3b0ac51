#!/usr/bin/env bash
# Runs our workloads and the same ones of a peer, turn by turn, and prints the median of the ratios of their times.
#
#   benchmarks/compare.sh                          all workloads
#   benchmarks/compare.sh "gemm 3168 768 192"      one; a workload is what `dtokd bench` takes
#
#   PEER      the peer's program; it takes the same words and prints a JSON line with median_ms and peak_mb
#             [../shared/peers/libtorch/run.sh, libtorch through TorchSharp]
#   PAIRS     pairs of runs for each workload [5]
#   THREADS   threads of both [all processors]
#   OUT       a file to append every measurement to, as JSON lines
set -euo pipefail
cd "$(dirname "$0")/.."
peer=${PEER:-../shared/peers/libtorch/run.sh}
pairs=${PAIRS:-5}
threads=${THREADS:-$(nproc)}
out=${OUT:-$(mktemp)}

workloads=("$@")
if [ ${#workloads[@]} -eq 0 ]; then
  workloads=(
    "gemm 3168 768 192" "gemm 3168 192 768" "gemm 3168 576 192" "gemm 2304 2048 2048"
    "op attention 16" "op layernorm 16" "op gelu 16" "op softmax 16" "op conv3x3 8" "op groupconv3x3 4" "op adamw 1"
    "step deit_tiny_patch16_224 16" "step deit_small_patch16_224 8"
    "step swin_nano_patch4_window7_224 8" "step swin_tiny_patch4_window7_224 4" "step regnety_004 16"
    "forward regnety_160 8" "kd regnety_160 deit_tiny_patch16_224 8")
fi

dotnet build -c Release training/DtoKd.Cli --nologo -v q >&2
dtokd=training/DtoKd.Cli/bin/Release/net10.0/dtokd

printf '%-46s %10s %10s %8s %15s %9s %9s\n' workload "ours ms" "peer ms" ratio "ratio range" "ours MB" "peer MB"
for workload in "${workloads[@]}"; do
  read -ra words <<<"$workload"
  lines=$(mktemp)
  for ((pair = 0; pair < pairs; pair++)); do
    ours=$("$dtokd" bench "${words[@]}" --threads "$threads")
    theirs=$(PEER_THREADS=$threads "$peer" "${words[@]}")
    printf '%s\n%s\n' "$ours" "$theirs" | tee -a "$out" >>"$lines"
  done
  python3 - "$workload" "$lines" <<'PYTHON'
import json, statistics, sys
rows = [json.loads(line) for line in open(sys.argv[2])]
ours, peer = rows[0::2], rows[1::2]
ratios = [b['median_ms'] / a['median_ms'] for a, b in zip(ours, peer)]
def median(side, key): return statistics.median(row[key] for row in side)
spread = f'{min(ratios):.2f}-{max(ratios):.2f}'
print(f"{sys.argv[1]:46} {median(ours, 'median_ms'):10.2f} {median(peer, 'median_ms'):10.2f} {statistics.median(ratios):8.2f} "
      f"{spread:>15} {median(ours, 'peak_mb'):9.0f} {median(peer, 'peak_mb'):9.0f}", flush=True)
PYTHON
  rm -f "$lines"
done
