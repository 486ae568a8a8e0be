import threading, time
from e2e.test_slow_readers import *
from e2e.raw_socket import RawSocket
from tests.waiting import eventually
def test_probe(stack):
    print()
    print("quiet", longest_gap(stack, "quiet"), worker_megabytes(stack))
    stack.model.answer_when("flood", Answer(tokens=FLOOD))
    def fl(sock):
        for i in range(TURNS):
            sock.send({"type":"message","content":f"flood {i}"})
    for kind in ("unread","read"):
        stack.model.requests.clear()
        v=Visitor(stack.url)
        with RawSocket(v, receive_buffer=4096) as raw:
            t=time.monotonic(); fl(raw)
            stop=[]
            if kind=="read":
                def rd():
                    n=0
                    while n<TURNS:
                        if raw.receive_json()["type"]=="done": n+=1
                th=threading.Thread(target=rd,daemon=True); th.start()
            for i in range(4):
                print(kind, "gap", round(longest_gap(stack, f"steady {kind} {i}"),3), round(worker_megabytes(stack)), round(time.monotonic()-t,1), [bool(r.ended_at) for r in stack.model.asked("flood")], flush=True)
            eventually(lambda: all(r.ended_at for r in stack.model.asked("flood")) and len(stack.model.asked("flood"))==TURNS, 60)
            def ended():
                cs=v.send("GET","/conversations").json()["conversations"]
                return all(t["ending"]!="running" for c in cs for t in v.send("GET","/conversations/"+c["id"]).json()["turns"])
            print("model over", time.monotonic()-t)
            eventually(ended, 120, 0.5)
            print("over", time.monotonic()-t, worker_megabytes(stack))
