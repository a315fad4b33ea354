"""What all steps share: settings, models, the chat client, the embedded model, reports."""
