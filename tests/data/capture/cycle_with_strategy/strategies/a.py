import s
