"""A model that reads a question and a passage together, and says which sentence answers, or that none does.

    window.py    what it reads: [CLS] question [SEP] title [SEP] passage [SEP], and the sentences in it
    adapter/     its weights: what step 4 changed in MiniLM

Step 4 trains it (step4_finetune/reading), step 3 answers with it (step3_rag/retrieve/reader.py). Both must
cut and number a text in the same way, so that part stands here.
"""

from pathlib import Path

ADAPTER = Path(__file__).with_name("adapter") / "reader.safetensors"
