"""What figures of displayed expression do not say, in the words that every page uses."""

CAUTION = (
    "These figures describe what faces displayed to a camera. They do not say what anybody felt, thought, wanted or "
    "understood: people frown when they concentrate, smile out of politeness, and show nothing while they follow "
    "every word.",
    "The models that come with LecturePulse are wrong about one time in three on everyday pictures, more often about "
    "fear and disgust, and worse where faces are small, dark, turned away or covered. Nobody has measured for which "
    "people they work worse. So a single face at a single moment means little; what many faces do over minutes means "
    "a little more.",
    "A change in the pictures does not tell its cause. It may be what was said, a joke in the chat, somebody at the "
    "door, or the light. Go to the moment, look, and ask.",
    "Do not grade, rank, discipline, select or watch anybody by these figures. In the European Union, inferring "
    "emotions of people in education is prohibited except for medical or safety reasons (AI Act, Article 5(1)(f)); "
    "elsewhere, use this only where it is allowed and where those who are shown were asked.",
)
"""Paragraphs of plain text."""
