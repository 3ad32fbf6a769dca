"""The colours and the order of the seven emotions, the same in every picture.

The colours were searched for by machine: the two nearest of them lie 0.13 apart in OKLab as people see them whose
colour vision is usual, protanopic, deuteranopic or tritanopic (Machado, Oliveira and Fernandes, A physiologically-based
model for simulation of color vision deficiency, 2009), so that no picture depends on telling red from green.
"""

STACK = ("fear", "sadness", "disgust", "anger", "neutral", "surprise", "happiness")
"""From bottom to top: by valence, so that the pleasant hang from the top and the unpleasant stand on the floor."""

COLOURS = {
    "fear": "#74008e",
    "sadness": "#5477ea",
    "disgust": "#145715",
    "anger": "#ee5701",
    "neutral": "#adaaa4",
    "surprise": "#7cddff",
    "happiness": "#f8d928",
}
