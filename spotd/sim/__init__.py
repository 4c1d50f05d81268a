"""A simulated AWS on 127.0.0.1: its own process, speaking only AWS's protocols, knowing nothing of the daemon.

One HTTP endpoint (`server`) reads signed calls (`protocol`, `shapes`), lets faults strike (`faults`), proves the caller
(`identity`), and answers: itself where moto lacks something or is slow (`services` lists what), else through moto
(`backends`), which keeps the state. `building` fills the first day's world from a seed (`fleet`, `workloads`),
`happenings` moves it on, `control` is the way in for tests and the demo. Tests start it through `process`.
"""
