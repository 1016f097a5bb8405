"""Conversations that remember: history and its branches, tools that wait, storing and truncating.

A conversation stands on the public verbs of a client, and every turn is a run, so that tools work in it::

   conversation.py   Conversation: say, stream, retry, edit, undo, branches, decisions
   turns.py          one turn: what is sent, what is kept when it fails or breaks off
   stream.py         a streamed turn
   document.py       the JSON form, and files
   stores.py         ConversationStore: where conversations with an id are kept
   checks.py         pending_tool_calls, validate_tool_calls, fix_missing_tool_responses, has_images
   truncate.py       truncate_messages(): the newest messages that fit, whole
"""
