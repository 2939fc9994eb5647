searched: OpenClaw in home/openclaw/.openclaw-prod, of root
not searched as text: binary 4
32 credentials in 36 files, 3 told apart; 2 of tier 4, 9 of tier 3, 21 of tier
  2, it revokes itself: 9, your authority revokes it: 3, a person revokes it: 20
