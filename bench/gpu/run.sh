#!/usr/bin/env bash
# All that is to be measured on a machine with a GPU, as one command from anywhere:
#
#   bench/gpu/run.sh                        GPT-2 124M, 16 sequences of 1024 tokens
#   bench/gpu/run.sh --case tiny            a try on any adapter
#
#   --case NAME   model of the ladder (deno task bench --help lists them)
#   --only LIST   of checks,bench,pytorch; the page is always made anew
#   --rounds N    measurements of each rung
#   --out DIR     where JSON, picture and page go; bench/results unless said
#
# It runs tests on the device, the ceilings, the ladder and products, and PyTorch beside it where that is installed, and
# writes JSON, a picture and a page named after the device. A part that fails is said and does not cost the others; the
# exit code is then 1. PYTHON names the Python that has PyTorch, if it is not python3. Nothing is fetched except the npm
# packages of deno.json, if they are not there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

case=gpt2-16x1024 only=checks,bench,pytorch out=bench/results rounds=5
die() { echo "run.sh: $1" >&2; exit 2; }
while (($#)); do
  flag=$1
  case $flag in --case | --only | --rounds | --out) ;; *) die "no such flag: $flag (there are --case, --only, --rounds, --out)" ;; esac
  (($# >= 2)) || die "$flag needs a value"
  declare "${flag#--}=$2"
  shift 2
done
for part in ${only//,/ }; do
  case $part in checks | bench | pytorch) ;; *) die "--only $part: take checks, bench, pytorch" ;; esac
done
wanted() { [[ ,$only, == *,$1,* ]]; }

parts=.cache/gpu-report
mkdir -p "$parts"
failed=0
python=${PYTHON:-python3}

# What the driver says is free, less a reserve for everybody else.
memory=()
if command -v nvidia-smi >/dev/null; then
  free=$(nvidia-smi --query-gpu=memory.free --format=csv,noheader,nounits | head -1)
  memory=(--memory "$((free / 1024 - 2))")
fi

if wanted checks; then
  rm -f "$parts/checks.txt"
  deno task test tests/runtime/fuzz_test.ts tests/compiler/matmul_template_test.ts \
    tests/compiler/attention_template_test.ts tests/bench/ladder_test.ts | tee "$parts/checks.txt" || failed=1
fi
if wanted bench; then
  rm -f "$parts/bench.json"
  deno task bench --no-peers --only ladder,kernels,matmul --case "$case" --rounds "$rounds" "${memory[@]}" \
    --json "$PWD/$parts/bench.json" --svg "$PWD/$parts/bench.svg" || failed=1
fi
if wanted pytorch; then
  rm -f "$parts/pytorch.json"
  if "$python" -c 'import torch' 2>/dev/null; then
    # The sizes of the same case, as the benchmark knows them.
    sizes=$(deno eval "import { caseNamed } from './bench/cases.ts';
      const { layers, width, heads, context, batch, vocabulary } = caseNamed('$case');
      console.log(Object.entries({ layers, width, heads, context, batch, vocabulary }).map(([k, v]) => '--' + k + ' ' + v).join(' '));") ||
      sizes=
    products=()
    [[ $case != tiny ]] || products=(--no-products)
    # shellcheck disable=SC2086
    { [[ -n $sizes ]] && "$python" bench/gpu/pytorch.py $sizes "${products[@]}" --json "$parts/pytorch.json"; } || failed=1
  else
    echo "PyTorch is not installed here: left out"
  fi
fi
if [[ -f $parts/bench.json ]]; then
  deno run --no-prompt --allow-read --allow-write bench/gpu/page.ts "$parts" "$out"
else
  echo "run.sh: there are no figures in $parts: run the part bench" >&2
  failed=1
fi
exit "$failed"
