"""The Spiking Speech Commands: fetched as :mod:`.shd` fetches."""

from eventspeech.data.sources import Source, Words, hdf5, shd

SOURCE = Source(
    Words("the Spiking Speech Commands (SSC)", "SSC", licence=shd.LICENCE), shd.make, hdf5.splits, hdf5.read_listed
)
