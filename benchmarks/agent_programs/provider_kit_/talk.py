from provider_kit import Client

talk = Client("openai/gpt-4o").conversation(system="Be brief.")
talk.say("My name is Ada.")
print(talk.say("What is my name?").text)
