"""The cochlea model: equal to lauscher's, exact in distribution, seeded, and sane at other rates.

``kernels`` of a test are both sets, C and numba; tests without it are of numba's, or of the default ones.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import scipy.signal
import scipy.stats

from eventspeech import files
from eventspeech.data import cochlea
from eventspeech.data.cochlea import encoder, membrane, native, nerve
from eventspeech.data.cochlea.reference import NumbaKernels
from eventspeech.data.cochlea.resampling import resample
from eventspeech.errors import DataError
from eventspeech.params import CHANNELS, Cochlea

PARAMETERS = Cochlea()
REFERENCE = Path(__file__).with_name("lauscher_reference.npz")


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


built = pytest.mark.skipif(native.library() is None, reason="the C kernels were not built (no C compiler)")


@pytest.fixture(params=[NumbaKernels, pytest.param(native.NativeKernels, marks=built)], ids=["numba", "native"])
def kernels(request):
    return request.param


def all_velocities(stimulus, kernels=NumbaKernels):
    prepared = kernels(membrane.spectrum(stimulus))
    return np.concatenate([prepared.velocity(block) for block in range(membrane.BLOCKS)])[:CHANNELS]


def relative(found, expected):
    """Largest deviation of each channel, relative to its largest value."""
    return np.max(np.abs(found - expected), axis=1) / np.max(np.abs(expected), axis=1)


def tone(frequency_hz, rate_hz, seconds=0.1):
    return np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def test_reference_is_of_the_published_version(reference):
    assert str(reference["version"]) == "1.0.1"


def test_stimulus_equals_lauscher(reference):
    found = encoder.stimulus(reference["audio"], 48_000, 0.3)
    np.testing.assert_allclose(found, reference["stimulus"], rtol=1e-12)


def test_membrane_equals_lauscher(reference, kernels):
    found = all_velocities(reference["stimulus"], kernels)[reference["channels"]]
    assert relative(found, reference["velocity"]).max() < 1e-6


def test_hair_cell_equals_lauscher(reference):
    found = nerve.hair_cell(all_velocities(reference["stimulus"])[reference["channels"]])
    np.testing.assert_allclose(found, reference["probability"], rtol=1e-6)


def test_a_wrong_constant_would_be_noticed(reference):
    velocity = reference["velocity"] * 1.0001
    assert np.max(np.abs(nerve.hair_cell(velocity) / reference["probability"] - 1)) > 1e-6


def test_spike_counts_agree_with_lauscher_within_sampling_noise(reference):
    theirs = reference["spike_counts"].astype(float)
    ours = np.array([counts(reference["audio"], 48_000, seed) for seed in range(96)])
    # groups of 20 channels have counts near enough to normal
    theirs, ours = theirs.reshape(-1, 35, 20).sum(2), ours.reshape(-1, 35, 20).sum(2)
    variance = ours.var(0, ddof=1) * (1 / len(ours) + 1 / len(theirs))
    z = (ours.mean(0) - theirs.mean(0)) / np.sqrt(variance + 1e-3)
    assert scipy.stats.chi2.sf(np.sum(z**2), len(z)) > 1e-3
    total = theirs.sum(1)
    assert abs(ours.sum(1).mean() - total.mean()) < 4 * total.std(ddof=1) / np.sqrt(len(total))


def counts(audio, rate_hz, seed):
    return np.bincount(cochlea.encode(audio, rate_hz, PARAMETERS, seed)[1], minlength=CHANNELS)


@pytest.mark.skipif(importlib.util.find_spec("lauscher") is None, reason="lauscher is not installed")
def test_membrane_and_hair_cell_equal_lauscher_run_now(kernels):
    from lauscher.transformations import BasilarMembrane, HairCell

    stimulus = encoder.stimulus(np.random.default_rng(3).standard_normal(481), 48_000, 0.3)
    bins = len(stimulus) // 2 + 1
    omega = 2 * np.pi * np.linspace(1, 24_000, bins)
    theirs = BasilarMembrane()
    some = np.array([0, 40, 350, 699])
    spectrum = np.fft.fft(stimulus)[:bins]
    expected = np.array([theirs.process_single_channel(theirs.ch[channel], omega, spectrum) for channel in some])
    assert relative(all_velocities(stimulus, kernels)[some], expected).max() < 1e-6
    firing = np.array([HairCell()._meddis(velocity, 24_000) for velocity in expected])
    np.testing.assert_allclose(nerve.hair_cell(expected), firing, rtol=1e-9)


@pytest.mark.parametrize("samples", [481, 1000, 4799])
def test_table_interpolates_the_transfer_function(samples, kernels):
    """A click's response is the inverse transform of the transfer function itself."""
    click = np.zeros(samples)
    click[samples // 2] = 1.0
    spectrum = membrane.spectrum(click)
    places = membrane.places_cm()[[0, 31, 32, 200, 500, 699]]
    exact = membrane.transfer(spectrum.frequencies_hz, places[:, None]) * spectrum.values
    expected = np.fft.ifft(exact, axis=1).real
    assert relative(all_velocities(click, kernels)[[0, 31, 32, 200, 500, 699]], expected).max() < 1e-6


@built
@pytest.mark.parametrize("bins", [16, 250, 251, 481, 501, 2048, 2400, 4050])  # all radices, odd and even, a prime
def test_native_membrane_equals_numba(bins):
    stimulus = np.random.default_rng(bins).standard_normal(2 * (bins - 1))
    found, expected = all_velocities(stimulus, native.NativeKernels), all_velocities(stimulus)
    assert relative(found, expected).max() < 1e-12


@built
@pytest.mark.parametrize("fibres", [1, 5, 40, 1000])
@pytest.mark.parametrize("loudness", [0.0, 30.0, 300.0, 1e4, 1e9])
def test_native_nerve_gives_numbas_spikes_bit_by_bit(loudness, fibres):
    velocity = np.random.default_rng(0).standard_normal((membrane.BLOCK, 3000)) * loudness
    expected = nerve.block_spikes(velocity, 2990, np.uint64(2**64 - 5), 32, fibres)
    found = native.block_spikes(velocity, 2990, 2**64 - 5, 32, fibres)
    assert loudness == 0 or len(expected[0]) > 0
    np.testing.assert_array_equal(found, expected)


@built
def test_native_and_numba_encode_alike():
    audio = np.random.default_rng(1).standard_normal(4000)
    found, expected = (cochlea.encode(audio, 16_000, PARAMETERS, 3, kernels) for kernels in ("native", "numba"))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_silence_keeps_the_hair_cell_at_rest():
    probability = nerve.hair_cell(np.zeros((3, 1000)))
    np.testing.assert_allclose(probability, probability[0, 0], rtol=1e-9)
    # Meddis's closed form of the transmitter in the cleft at rest
    release = 2000 * 5 / 305
    assert probability[0, 0] == pytest.approx(50_000 / 24_000 * 5.05 * release / (2500 * release + 5.05 * 9080))


@pytest.mark.parametrize(("probability", "free"), [(0.003, 40), (0.02, 37), (0.1, 9), (0.124, 3), (0.1, 1), (0.05, 0)])
def test_fibres_fire_binomially(probability, free):
    size = 400_000
    uniform = np.random.default_rng(1).random(size).astype(np.float32)
    fired = np.empty(size, np.float32)
    nerve._fire(np.full(size, probability, np.float32), np.full(size, free, np.float32), uniform, fired)
    left_over = fired < 0
    fired[left_over] = [nerve._fire_many(probability, free, float(u)) for u in uniform[left_over]]
    found = np.bincount(fired.astype(int), minlength=free + 1)
    expected = size * scipy.stats.binom.pmf(np.arange(free + 1), free, probability)
    common = expected > 5
    assert np.all(np.abs(found - expected)[common] < 5 * np.sqrt(expected[common]))
    assert fired.max() <= free


@pytest.mark.parametrize("probability", [0.126, 0.5, 0.999, 1.0, 1.7])
def test_many_fibres_fire_binomially(probability):
    uniform = (np.arange(20_000) + 0.5) / 20_000
    found = [nerve._fire_many(probability, 40, u) for u in uniform]
    expected = scipy.stats.binom.ppf(uniform, 40, min(probability, 1.0))
    np.testing.assert_array_equal(found, expected)


def test_random_numbers_are_uniform_and_channels_independent():
    state = nerve._seeded(np.uint64(5), 0, 64)
    drawn = np.empty((20_000, 64), np.float32)
    for row in drawn:
        nerve._draw(state[0], state[1], state[2], state[3], row)
    assert scipy.stats.kstest(drawn.ravel(), "uniform").pvalue > 1e-4
    correlation = np.corrcoef(drawn.T)[np.triu_indices(64, 1)]
    assert np.max(np.abs(correlation)) < 5 / np.sqrt(len(drawn))
    assert drawn.min() >= 0 and drawn.max() < 1


def test_bushy_cell_against_a_plain_one():
    """A large velocity makes every fibre fire whenever it can: the bushy cell is then a plain recursion."""
    steps = 600
    velocity = np.full((membrane.BLOCK, steps), 1e9)
    probability = nerve.hair_cell(velocity)[0]
    rng = np.random.default_rng(0)
    expected = np.mean([len(plain_bushy_cell(probability, rng)) for _ in range(150)])
    spread = np.std([len(plain_bushy_cell(probability, rng)) for _ in range(50)])
    found = [len(nerve.block_spikes(velocity, steps, np.uint64(seed), 0, 40)[0]) / membrane.BLOCK for seed in range(40)]
    assert abs(np.mean(found) - expected) < 4 * (spread + 0.1) / np.sqrt(150)


def plain_bushy_cell(probability, rng):
    """Steps of spikes, straight from the definition: 40 fibres at rest for 24 steps after each spike."""
    last = np.full(40, -24)
    current = voltage = 0.0
    wait, spikes = 0, []
    for step, p in enumerate(probability):
        fire = (rng.random(40) < p) & (step - last >= 24)
        last[fire] = step
        current = current * np.exp(-1 / 12) + fire.sum()
        if wait > 0:
            wait -= 1
            continue
        voltage = voltage * np.exp(-1 / 24) + current * 13e3 / 40 / 24_000
        if voltage >= 1 and step + 1 < len(probability):
            spikes.append(step)
            voltage, wait = 0.0, 24
    return spikes


def test_same_seed_same_spikes_and_other_seed_other_spikes():
    audio = tone(800, 48_000, 0.05)
    first, again, other = (cochlea.encode(audio, 48_000, PARAMETERS, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_audio_is_not_changed():
    audio = tone(800, 48_000, 0.05)
    before = audio.copy()
    cochlea.encode(audio, 48_000, PARAMETERS, 0)
    np.testing.assert_array_equal(audio, before)


def test_spikes_are_sorted_inside_the_recording_and_keep_the_refractory_period():
    times, channels = cochlea.encode(tone(800, 48_000), 48_000, PARAMETERS, 0)
    assert times.dtype == np.float64 and channels.dtype == np.uint16
    assert np.all(np.diff(times) >= 0) and times[0] >= 0 and times[-1] <= 100
    assert channels.max() < CHANNELS
    for channel in np.unique(channels):
        assert np.all(np.diff(times[channels == channel]) > 1.0)


def test_neither_workers_nor_order_matter():
    recordings = [cochlea.Recording(tone(300 + 200 * i, 16_000, 0.03), 16_000, i) for i in range(7)]
    one = cochlea.encode_many(iter(recordings), 7, PARAMETERS, 1)
    three = cochlea.encode_many(iter(recordings), 7, PARAMETERS, 3)
    backwards = cochlea.encode_many(iter(recordings[::-1]), 7, PARAMETERS, 2)[::-1]
    for first, second, third in zip(one, three, backwards, strict=True):
        for index in (0, 1):
            np.testing.assert_array_equal(first[index], second[index])
            np.testing.assert_array_equal(first[index], third[index])


def test_an_error_in_one_recording_reaches_the_caller():
    recordings = [cochlea.Recording(tone(500, 16_000, 0.03), 16_000, 0), cochlea.Recording(np.zeros(800), 16_000, 0)]
    with pytest.raises(DataError, match="silent"):
        cochlea.encode_many(recordings, 2, PARAMETERS, 2)


def test_without_a_compiler_numba_encodes(monkeypatch):
    audio = tone(800, 48_000, 0.03)
    expected = cochlea.encode(audio, 48_000, PARAMETERS, 0, "numba")
    monkeypatch.setattr(native, "library", lambda: None)
    np.testing.assert_array_equal(cochlea.encode(audio, 48_000, PARAMETERS, 0), expected)


def excited_place(frequency_hz, rate_hz):
    velocity = all_velocities(encoder.stimulus(tone(frequency_hz, rate_hz), rate_hz, 0.3))
    return int(np.argmax(np.sqrt(np.mean(velocity**2, axis=1))))


def test_a_tone_excites_its_place_whatever_the_rate():
    frequencies = [300, 1000, 3000]
    places = [excited_place(frequency, 48_000) for frequency in frequencies]
    assert places == sorted(places, reverse=True), "channel 0 is the high-frequency end"
    for frequency, place in zip(frequencies, places, strict=True):
        # where the transfer function itself is largest at that frequency
        best = np.argmax(np.abs(membrane.transfer(np.float64(frequency), membrane.places_cm())))
        assert abs(place - best) <= 5
        for rate_hz in (8_000, 22_050, 44_100, 96_000):
            assert abs(excited_place(frequency, rate_hz) - place) <= 3


def test_a_tone_at_8_khz_and_at_48_khz_gives_the_same_number_of_spikes():
    low, high = (np.mean([counts(tone(700, rate), rate, s).sum() for s in range(4)]) for rate in (8_000, 48_000))
    assert abs(low - high) < 0.05 * high


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.zeros(1000), "silent"),
        (np.full(1000, np.nan), "NaN"),
        (np.ones(10), "shorter than 5 ms"),
        (np.empty(0), "shorter than 5 ms"),
        (np.ones((1000, 2)), "mono"),
    ],
)
def test_unusable_audio(audio, message):
    with pytest.raises(DataError, match=message):
        cochlea.encode(audio, 48_000, PARAMETERS, 0)


@pytest.mark.parametrize("samples", [*range(960, 1010), 16_199, 16_200])
def test_padding_fits_any_length(samples):
    padded = membrane.padded_length(samples)
    assert padded >= samples and padded % 2 == 0 and padded < 1.1 * samples + 2


@pytest.mark.parametrize("least", [16, 17, 480, 481, 511, 513, 24_001, 129_601, 10_007])
def test_the_padded_length_is_the_next_that_transforms_quickly(least):
    assert membrane.padded_length(2 * least - 2) == 2 * (scipy.fft.next_fast_len(least, real=True) - 1)


@pytest.mark.parametrize("rate_hz", [4_000, 8_000, 11_025, 22_050, 32_000, 44_100, 96_000, 192_000])
def test_resampling_is_scipys(rate_hz):
    audio = np.random.default_rng(rate_hz).standard_normal(rate_hz // 50 + 7)
    common = np.gcd(rate_hz, 48_000)
    up, down = 48_000 // common, rate_hz // common
    expected = scipy.signal.resample_poly(audio, up, down)
    np.testing.assert_allclose(resample(audio, up, down), expected, rtol=0, atol=1e-14 * np.abs(expected).max())
    assert not np.allclose(resample(audio[1:], up, down)[:500], expected[:500], atol=1e-3), (
        "another sample to begin with"
    )


@pytest.fixture
def small_table(monkeypatch, tmp_path):
    """A table that is made at once, a cache of its own, and nothing remembered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []
    first, step = membrane._table_axis()
    rows = np.arange(membrane.BLOCKS) + membrane.TAPS
    highest_hz = np.exp(first + step * (rows - membrane.TAPS)) - membrane.TABLE_OFFSET_HZ

    def compute():
        made.append(1)
        return membrane.Table([np.full((count, 2 * membrane.BLOCK), 1.0 * count) for count in rows], highest_hz)

    monkeypatch.setattr(membrane, "_computed", compute)
    return made


def fresh():
    """Return what `table` gives a new process."""
    return membrane.table.__wrapped__()


def test_the_table_is_computed_once_for_all_processes(small_table, tmp_path):
    first, again = fresh(), fresh()
    assert len(small_table) == 1 and [path.suffix for path in (tmp_path / "eventspeech").iterdir()] == [".npz"]
    for one, other in zip(first.values, again.values, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(first.highest_hz, again.highest_hz)


def test_a_damaged_table_is_made_anew(small_table, tmp_path):
    fresh()
    [place] = (tmp_path / "eventspeech").iterdir()
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)
    assert fresh().values[1][6, 0] == 7 and len(small_table) == 2
    assert fresh().values[3][8, 0] == 9 and len(small_table) == 2, "the whole one has taken its place"


def test_a_table_of_other_sizes_is_made_anew(small_table, tmp_path):
    fresh()
    [place] = (tmp_path / "eventspeech").iterdir()
    arrays = files.read_npz(place)
    files.write_npz(place, arrays | {"rows": arrays["rows"][::-1]})
    fresh()
    files.write_npz(place, {name: array for name, array in arrays.items() if name != "rows"})
    fresh()
    assert len(small_table) == 3


def test_another_processor_makes_its_own(small_table, monkeypatch):
    fresh()
    monkeypatch.setattr(membrane.machine, "cpu", lambda: "another")
    fresh()
    assert len(small_table) == 2


def test_without_a_home_the_table_is_computed(small_table, monkeypatch):
    monkeypatch.setattr(membrane.paths, "cache", lambda: None)
    fresh()
    fresh()
    assert len(small_table) == 2


def test_where_nobody_may_write_the_table_is_computed(small_table, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    fresh()
    fresh()
    assert len(small_table) == 2


def test_encoding_imports_neither_numba_nor_scipy():
    cochlea.encode(tone(800, 48_000, 0.03), 48_000, PARAMETERS, 0)  # the table is there now
    code = (
        "import sys, numpy as np; from eventspeech.data import cochlea; from eventspeech.params import Cochlea;"
        "cochlea.encode(np.sin(np.arange(800.0)), 22_050, Cochlea(), 0);"
        "print([name for name in ('numba', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n" or native.library() is None
