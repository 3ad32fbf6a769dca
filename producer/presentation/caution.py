"""What results do not say: the words of caution of every report and page."""

CAUTION = (
    "These results describe what faces displayed to a camera. They do not say what anybody felt, thought, wanted or "
    "understood. People frown when they concentrate, smile to be polite, and show nothing while they follow every "
    "word.",
    "The models that come with LecturePulse are wrong about one time in three on everyday pictures. They are wrong "
    "more often about fear and disgust, and where faces are small, dark, turned away or covered. Faces that are too "
    "small, too dark, too blurred or turned too far away are not read at all. It is hardly known for which people they "
    "work worse. So one face at one moment means little. Many faces over minutes mean a little more.",
    "A change in the charts does not show its cause. The cause may be what was said, a joke in the chat, somebody at "
    "the door, or the light. Go to the moment in the recording, watch it, and ask.",
    "Do not grade, rank, punish, select or watch anybody by these results. In the European Union it is prohibited to "
    "infer emotions of people in education, except for medical or safety reasons (AI Act, Article 5(1)(f)). "
    "Elsewhere, use this only where it is allowed and where the people who are shown were asked.",
)
"""Paragraphs of plain text."""
