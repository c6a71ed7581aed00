"""What a page shows of a dictionary, which may have tens of thousands of latents."""

from rhohat.inspection.reporting.dictionaries.content import DictionaryContent
from rhohat.inspection.reporting.dictionaries.contexts import open_contexts, texts_of_harvest
from rhohat.inspection.reporting.dictionaries.geometry import check_projection
from rhohat.inspection.reporting.dictionaries.measuring import describe_latents, measure_dictionary

__all__ = [
    "DictionaryContent",
    "check_projection",
    "describe_latents",
    "measure_dictionary",
    "open_contexts",
    "texts_of_harvest",
]
