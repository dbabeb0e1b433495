"""Version 1 of a program whose commands will change: python account_1.py 7001 7002 7003, and so on."""

import asyncio
import sys

from oarlock import Node, OarlockError, ReplicatedObject, replicated


class Account(ReplicatedObject):
    def __init__(self) -> None:
        super().__init__("account")
        self.balance = 0

    @replicated
    def pay_in(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    def snapshot(self) -> object:
        return self.balance

    def restore(self, image: int) -> None:
        self.balance = image


async def main(*ports: str) -> None:
    account = Account()
    own, *_ = servers = [f"127.0.0.1:{port}" for port in ports]
    async with Node(own, peers=servers, data_dir=f"data-{ports[0]}", objects=[account]):
        while line := await asyncio.to_thread(sys.stdin.readline):  # such as: 5
            try:
                print(await account.pay_in(int(line)), flush=True)
            except OarlockError as error:
                print(error, flush=True)


asyncio.run(main(*sys.argv[1:]))
