from agents import Agent, Runner

agent = Agent("talker", instructions="Be brief.", model="gpt-4o")
first = Runner.run_sync(agent, "My name is Ada.")
again = [*first.to_input_list(), {"role": "user", "content": "What is my name?"}]
print(Runner.run_sync(agent, again).final_output)
