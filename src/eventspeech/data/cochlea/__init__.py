"""The cochlea model that made SHD (Cramer, Stradmann, Schemmel, Zenke 2020): from audio to spikes of bushy cells.

Root mean square normalised, Hann window over the recording, basilar membrane (:mod:`.membrane`), hair cell, auditory
nerve fibres and bushy cell (:mod:`.nerve`); 700 places along the membrane, channel 0 at the high-frequency end.
"""

from eventspeech.data.cochlea.encoder import Recording, encode, encode_each, encode_many

__all__ = ["Recording", "encode", "encode_each", "encode_many"]
