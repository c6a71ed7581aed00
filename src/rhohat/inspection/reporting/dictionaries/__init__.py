"""What a page shows of a dictionary, which may have tens of thousands of latents."""

from rhohat.inspection.reporting.dictionaries.asked import AskedOfDictionary
from rhohat.inspection.reporting.dictionaries.content import DictionaryContent

__all__ = ["AskedOfDictionary", "DictionaryContent"]
