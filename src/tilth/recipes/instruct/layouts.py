"""Self-Instruct's prompts for working a task out, with their demonstrations, and the layouts of its training rows.

Knows no pool and no filter. The numbers of demonstrations and layouts are the released code's (yizhongw/self-instruct:
12 classification tasks and 19 others; 7 layouts with an input, 6 without); the words are ours.
"""

from __future__ import annotations

import random

from tilth.recipes.instruct.tasks import plain_input
from tilth.recipes.prompt import Prompt

CLASSIFICATION = (
    "Decide whether the customer's message is a complaint or praise.",
    "Say which of the four seasons the poem describes.",
    "Tell if the second sentence follows from the first, contradicts it, or neither.",
    "Label the e-mail as urgent or not urgent.",
    "Is the animal in the description a mammal, a bird, a fish or a reptile?",
    "Judge whether the comma in this sentence is used correctly. Answer correct or wrong.",
    "Find the language of the phrase among Danish, Dutch and German.",
    "Choose the fitting newspaper section for the headline: sport, business, science or culture.",
    "Does the review speak about the food, the service or the price?",
    "Rate how sure the speaker sounds as low, medium or high.",
    "Would this ingredient make the dish unfit for vegans? Yes or no.",
    "Given two job adverts, name the one that asks for more experience.",
)
"""Demonstrations of classification tasks."""
OPEN = (
    "Suggest three names for a bakery that sells only rye bread.",
    "Turn the recipe into a shopping list.",
    "Write a short letter to a neighbour about a loud dog.",
    "Convert the temperature from Fahrenheit to Celsius.",
    "Summarise the paragraph in one sentence.",
    "Explain to a ten-year-old why the moon has phases.",
    "Put the sentence into the past tense.",
    "Give a plan for a rainy afternoon with two children.",
    "Complete the dialogue with a polite refusal.",
    "List the prime numbers between two given numbers.",
    "Compose a four-line poem about a bicycle.",
    "Find the mistake in the proof and repair it.",
    "What should a traveller know before crossing a desert?",
    "Rewrite the warning so that it sounds friendly.",
    "Describe how to repair a leaking tap.",
    "Translate the proverb into English and say what it means.",
    "Make up a riddle whose answer is a river.",
    "Work out how long the journey takes at the given speed.",
    "Name a historical event that resembles the story, and say why.",
)
"""Demonstrations of other tasks."""


def _shuffled() -> str:
    marked = [(text, "Yes") for text in CLASSIFICATION] + [(text, "No") for text in OPEN]
    random.Random(0).shuffle(marked)
    return "\n\n".join(f"Task: {text}\nClassification? {answer}" for text, answer in marked)


IS_CLASSIFICATION = Prompt(
    "is_classification",
    """A classification task is one whose answer is a label from a small, closed set. For each task, say Yes when it \
is a classification task and No when it is not. Say nothing else.

"""
    + _shuffled()
    + """

Task: {instruction}
Classification?""",
)
OUTPUT_FIRST = Prompt(
    "output_first",
    """A classification task is given. Write each class label it can have, and after each label an input that deserves \
it. If the task needs no input, write the labels alone. Keep to this form.

Task: Decide whether the customer's message is a complaint or praise.
Class label: complaint
Message: The kettle arrived with a dent, and nobody answers the phone.
Class label: praise
Message: I ordered on Monday and drank my first cup on Tuesday. Splendid!

Task: Tell if the second sentence follows from the first, contradicts it, or neither.
Class label: follows
Sentence 1: All the lamps on the pier were lit.
Sentence 2: The lamp at the end of the pier was lit.
Class label: contradicts
Sentence 1: Nobody left the hall before noon.
Sentence 2: Ruth went home from the hall at eleven.
Class label: neither
Sentence 1: The ferry was painted green.
Sentence 2: The ferry was late.

Task: Is a tomato, botanically, a fruit? Answer yes or no.
Class label: yes

Task: {instruction}
""",
)
INPUT_FIRST = Prompt(
    "input_first",
    """A task is given. Write up to five examples of it, each with an input, if the task needs one, and the right \
output. Make the inputs concrete: real text, never a placeholder. Keep to this form.

Task: Put the sentence into the past tense.
Example 1
Input: The gardener waters the beans before breakfast.
Output: The gardener watered the beans before breakfast.
Example 2
Input: We are building a shed and it costs nothing.
Output: We were building a shed and it cost nothing.

Task: Make up a riddle whose answer is a river.
Example 1
Output: I have a mouth and never eat, a bed and never sleep. What am I?

Task: Work out how long the journey takes at the given speed.
Example 1
Input: Distance: 150 km. Speed: 60 km/h.
Output: 150 / 60 = 2.5, so the journey takes two and a half hours.
Example 2
Input: Distance: 9 miles. Speed: 4 miles an hour.
Output: 9 / 4 = 2.25, so the journey takes two hours and a quarter.

Task: {instruction}
""",
)

WITH_INPUT = (
    "{instruction}\n\nHere is the text:\n{input}\n\nAnswer:",
    "{instruction}\n\nGiven: {input}\n\nResult:",
    "Instruction: {instruction}\nGiven: {input}\nResult:",
    "What to do: {instruction}\n\n{input}\n\nAnswer:",
    "{instruction}\n\n{input}",
    "{instruction}\n{input}\n\n",
    "Instruction: {instruction}\n\n{input}\n\n",
)
"""Layouts of a task with an input."""
WITHOUT_INPUT = (
    "{instruction}",
    "{instruction}\n\n",
    "{instruction}\nAnswer:",
    "{instruction}\n\nResult:",
    "Instruction: {instruction}\n\nAnswer:",
    "What to do: {instruction}\n",
)
"""Layouts of a task without one."""


def lay_out(instruction: str, given: str, output: str, rng: random.Random) -> tuple[str, str]:
    """Prompt and completion of one instance in a layout drawn by `rng`.

    After a layout that ends with a label the completion begins with a space, as in the release.
    """
    layout = rng.choice(WITH_INPUT if given else WITHOUT_INPUT)
    given = plain_input(given, rng)
    # one pass, so that braces in the task's own text are no fields
    prompt = Prompt("layout", layout).fill(instruction=instruction, input=given)
    return prompt, f" {output}" if layout.endswith(":") else output
