import p.q.n
