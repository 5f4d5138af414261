#!/usr/bin/env bash
# Checks and measures engine `cuda` on a machine with an NVIDIA GPU: tests, speed by size and
# batch, limits, an epoch of SHD's size, GeNN beside it where PyGeNN is installed, the memory checker. Run it from the
# project's folder:
#     tools/gpu_check.sh OUT [WHEELS]
# OUT gets the results; WHEELS is a folder of wheels of what Python lacks there, for machines without internet. A step
# that fails or takes too long hides none of the others; summary.txt says how each ended, and the exit status is 1 then.
set -u
out=$(mkdir -p "$1" && cd "$1" && pwd)
if [ -n "${2:-}" ]; then
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    python3 -m pip install -q --no-index --no-deps --no-compile --upgrade --target "$site" "$2"/*.whl
    export PYTHONPATH="$site"
fi
export PYTHONPATH="$PWD/src:$PWD/tests${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
: >"$out/summary.txt"
failed=0

step() { # name, seconds at most, file for what it says, command
    local start=$SECONDS status
    timeout "$2" "${@:4}" >>"$out/$3" 2>&1
    status=$?
    [ $status -eq 0 ] || failed=1
    echo "$1: status $status, $((SECONDS - start)) s" | tee -a "$out/summary.txt"
}

# without CuPy's pool of memory every array has its own bounds, as the checker needs it
checked="import cupy, pytest, sys; cupy.cuda.set_allocator(None); sys.exit(pytest.main(sys.argv[1:]))"
checker() { # tool, tests
    step "$1" 60 sanitizer.txt compute-sanitizer --tool "$1" --error-exitcode 9 \
        python3 -c "$checked" -q -p no:cacheprovider -m gpu tests/engines/test_cuda.py -k "$2"
}

step build 120 doctor.txt python3 setup.py -q build_ext --inplace
step doctor 60 doctor.txt python3 -m eventspeech.cli doctor
step tests 120 tests.txt python3 -m pytest -q -p no:cacheprovider -m gpu tests/engines/test_cuda.py
step benchmark 210 benchmark.txt python3 -m eventspeech.cli benchmark gpu --repeats 3 --json "$out/gpu.json"
step epoch 60 benchmark.txt python3 -m eventspeech.cli benchmark epoch --engine cuda --repeats 3 --json "$out/epoch.json"
if python3 -c "import pygenn" 2>/dev/null; then
    for hidden in 256 512 1024; do
        step "genn $hidden" 90 genn.txt python3 -m eventspeech.cli benchmark engine --engine cuda --against genn \
            --hidden "$hidden" --repeats 2 --no-limit
    done
fi
checker memcheck "every_network or every_loss or recording"
checker racecheck "several_warps"
checker synccheck "several_warps"
checker initcheck "several_warps"
exit $failed
