"""The colours and the order of the seven emotions, the same in every view.

A search chose the colours. The two nearest are 0.13 apart in OKLab, for usual vision and for protanopia, deuteranopia
and tritanopia (Machado, Oliveira and Fernandes, A physiologically-based model for simulation of color vision
deficiency, 2009). So no view depends on distinguishing red from green.
"""

STACK = ("fear", "sadness", "disgust", "anger", "neutral", "surprise", "happiness")
"""From bottom to top, by valence: unpleasant emotions at the bottom, pleasant ones at the top."""

COLOURS = {
    "fear": "#74008e",
    "sadness": "#5477ea",
    "disgust": "#145715",
    "anger": "#ee5701",
    "neutral": "#adaaa4",
    "surprise": "#7cddff",
    "happiness": "#f8d928",
}
