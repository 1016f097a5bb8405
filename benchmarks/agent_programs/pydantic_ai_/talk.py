from pydantic_ai import Agent

agent = Agent("openai-chat:gpt-4o", instructions="Be brief.")
first = agent.run_sync("My name is Ada.")
print(agent.run_sync("What is my name?", message_history=first.all_messages()).output)
