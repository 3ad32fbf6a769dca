"""The colours and the order of the seven emotions, the same in every view.

A search chose the colours. The two nearest are 0.13 apart in OKLab, for usual vision and for protanopia, deuteranopia
and tritanopia (Machado, Oliveira and Fernandes, A physiologically-based model for simulation of color vision
deficiency, 2009). So no view depends on distinguishing red from green.
"""

from worker.contract.messages import EMOTIONS

STACK = ("fear", "sadness", "disgust", "anger", "neutral", "surprise", "happiness")
"""From bottom to top, by valence: unpleasant emotions at the bottom, pleasant ones at the top."""

STACKED = [EMOTIONS.index(emotion) for emotion in STACK]
"""The index in EMOTIONS of each emotion of STACK."""

PLACE_IN_STACK = [STACK.index(emotion) for emotion in EMOTIONS]
"""The index in STACK of each emotion of EMOTIONS."""

PRESENCE_TONES = (0.8, 0.4, 0.12)
"""Opacity of grey for people who face the screen, are turned away, and are out of view. Not a colour of an emotion."""

COLOURS = {
    "fear": "#74008e",
    "sadness": "#5477ea",
    "disgust": "#145715",
    "anger": "#ee5701",
    "neutral": "#adaaa4",
    "surprise": "#7cddff",
    "happiness": "#f8d928",
}
