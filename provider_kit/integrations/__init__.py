"""Web frameworks and task queues: answers as streams for browsers, clients that live as long as the application.

``ui_stream`` makes bytes of what happens, and imports no framework; ``ui_messages`` reads what a browser sent. Each
other module serves one framework, and is imported by the program that uses it; what none of them does is choose a
server, authenticate users, or limit requests.
"""
