"""Step 3: answers from your documents, with sources, and with a measured idea of when not to answer.

    python -m step3_rag "When do contracts renew automatically?"    ask the sample corpus
    python -m step3_rag ingest my-documents/                       then ask your own
    python -m step3_rag search "renewal" --explain                 what every stage made of it

The commands are in cli/.

exit 0    it worked
exit 1    some of the files could not be read; the rest is in the index
exit 2    something the user can put right
exit 3    the chat model failed; what was found is shown all the same
"""

from shared.launch import run
from step3_rag.cli.app import app

if __name__ == "__main__":
    run(app, "python -m step3_rag")
