"""Version 2: payments have a text, and there is a new command. Start it in place of account_1.py, server by server.

While any server runs version 1 the new forms are refused, at the call and by name, and the old one goes on working.
Once all run version 2 everything works. Entries of version 1 in the log are applied by version 1's code, here as well.
"""

import asyncio
import sys
from typing import Any

from oarlock import Node, OarlockError, ReplicatedObject, replicated


class Account(ReplicatedObject):
    def __init__(self) -> None:
        super().__init__("account")
        self.balance = 0
        self.texts: list[str] = []

    @replicated
    def pay_in(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    @pay_in.version(2)
    def pay_in(self, amount: int, text: str = "") -> int:
        self.balance += amount
        self.texts.append(text)
        return self.balance

    @replicated(version=2)
    def forget_texts(self) -> int:
        forgotten, self.texts = len(self.texts), []
        return forgotten

    def snapshot(self) -> object:
        if not self.texts:  # as version 1 has it: servers compare their states, and may send them to one another
            return self.balance
        return {"balance": self.balance, "texts": self.texts}

    def restore(self, image: Any) -> None:
        if isinstance(image, int):
            image = {"balance": image, "texts": []}
        self.balance, self.texts = image["balance"], image["texts"]


async def main(*ports: str) -> None:
    account = Account()
    own, *_ = servers = [f"127.0.0.1:{port}" for port in ports]
    async with Node(own, peers=servers, data_dir=f"data-{ports[0]}", objects=[account]):
        while line := await asyncio.to_thread(sys.stdin.readline):  # such as: 5, or: 5 for tea, or: forget
            amount, _, text = line.strip().partition(" ")
            try:
                if amount == "forget":
                    print(await account.forget_texts(), flush=True)
                else:
                    print(await account.pay_in(int(amount), *[text] * bool(text)), flush=True)
            except OarlockError as error:
                print(error, flush=True)


asyncio.run(main(*sys.argv[1:]))
