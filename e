06:56:54 declared     DRILL DRILL-20261123-0656-2: /tmp/clawback-drill-3455827262/host, suspected-compromise, by uid 0 (2026-11-23, times in UTC)
06:56:55 described    /home/openclaw/.openclaw-dev of root (generation C), 1 process, 0 things that may bring it back
06:56:55 question     Freeze the agent
06:57:01 answer       yes, by the simulated person
06:57:29 frozen       1 process in 569 ms
06:57:29 skipped      Cut the host off the network: only when remote
06:57:35 found        slack xoxb-…cE6K in home/openclaw/.openclaw-dev/openclaw.json:62 (channels.slack.botToken)
06:57:40 found        slack xoxb-…GpuI in home/openclaw/.openclaw-dev/secrets.json:2 (secret)
06:57:40 found        slack xoxp-…p9nd in home/openclaw/.openclaw-dev/openclaw.json:79 (channels.slack.userToken)
06:57:40 found        github ghp_…PZQp in home/openclaw/.openclaw-dev/openclaw.json:105 (skills.entries.github-2.env.GITHUB_TOKEN)
06:57:40 found        github ghp_…Pb02 in home/openclaw/.openclaw-dev/openclaw.json:114 (skills.entries.github-3.env.GITHUB_TOKEN)
06:57:40 found        github github_pat_…Oezo in home/openclaw/.openclaw-dev/openclaw.json:123 (skills.entries.github-4.env.GITHUB_TOKEN)
06:57:40 found        github gho_…JKRZ in home/openclaw/.openclaw-dev/openclaw.json:132 (skills.entries.github-5.env.GITHUB_TOKEN)
06:57:40 found        unknown …OKEN in home/openclaw/.openclaw-dev/openclaw.json:147 (skills.entries.notes.apiKey)
06:57:40 found        unknown …OKEN in home/openclaw/.openclaw-dev/openclaw.json:161 (skills.entries.mail.apiKey)
06:57:40 found        aws AKIA…RLXF in home/openclaw/.openclaw-dev/openclaw.json:175 (mcp.servers.aws.env.AWS_ACCESS_KEY_ID)
06:57:41 found        aws AKIA…H4DR in home/openclaw/.openclaw-dev/openclaw.json:181 (mcp.servers.aws-2.env.AWS_ACCESS_KEY_ID)
06:57:41 found        unknown …PxbV in home/openclaw/.openclaw-dev/state/openclaw.sqlite (mcp_oauth_stores/linear/store_json.tokens.access_token)
06:57:41 found        openclaw …o4A2 in home/openclaw/.openclaw-dev/state/openclaw.sqlite (device_pairing_paired/f721f00314dcb668/tokens_json.node.token)
06:57:41 found        openclaw …BX0V in home/openclaw/.openclaw-dev/state/openclaw.sqlite (device_pairing_paired/f721f00314dcb668/tokens_json.operator.token)
06:57:41 found        openclaw …s7Xq in home/openclaw/.openclaw-dev/state/openclaw.sqlite (device_auth_tokens/f721f00314dcb668/operator/token)
06:57:41 found        openclaw … in home/openclaw/.openclaw-dev/state/openclaw.sqlite (device_identities/primary/private_key_pem)
06:57:41 found        openclaw …Tqee in home/openclaw/.openclaw-dev/state/openclaw.sqlite (device_bootstrap_tokens/row 1/token)
06:57:41 found        openclaw …mBmM in home/openclaw/.openclaw-dev/state/openclaw.sqlite (node_host_config/current/token)
06:57:41 found        openclaw …VAzp in home/openclaw/.openclaw-dev/state/openclaw.sqlite (web_push_vapid_keys/default/private_key)
06:57:45 found        openai …ArZf in home/openclaw/.openclaw-dev/agents/main/agent/openclaw-agent.sqlite (auth_profile_store/primary/store_json.profiles.openai-codex:old.access)
06:57:46 found        stripe sk_live_…53Mq in home/openclaw/.openclaw-dev/openclaw.json:140 (skills.entries.stripe.apiKey)
06:57:46 found        unknown …OKEN in home/openclaw/.openclaw-dev/openclaw.json:154 (skills.entries.maps.apiKey)
06:58:01 sealed       volatile evidence, 28 files, 60.1 kB
06:58:26 searched     35 files, 11.2 kB: 22 credentials
06:58:26 question     Revoke all and prove each one dead
06:58:48 answer       yes revoke 22, by the simulated person
06:58:49 manual       unknown …OKEN (its value could not be resolved on the host); hint: find out what it refers to and revoke it at its provider: clawback runs no command that it finds on a host
06:58:49 requested    slack xoxb-…cE6K
06:58:49 manual       unknown …OKEN (its value could not be resolved on the host); hint: find out what it refers to and revoke it at its provider: clawback runs no command that it finds on a host
06:58:49 manual       unknown …PxbV (no provider of clawback knows this kind: a person has to revoke it); hint: revoke it in the console of unknown; clawback cannot prove its death
06:58:49 requested    slack xoxp-…p9nd
06:58:49 requested    slack xoxb-…GpuI
06:58:49 manual       openclaw …BX0V (no provider of clawback knows this kind: a person has to revoke it); hint: revoke it in the console of openclaw; clawback cannot prove its death
06:58:49 manual       openclaw …o4A2 (no provider of clawback knows this kind: a person has to revoke it); hint: revoke it in the console of openclaw; clawback cannot prove its death
06:58:49 manual       openclaw … (no provider of clawback knows this kind: a person has to revoke it); hint: revoke it in the console of openclaw; clawback cannot prove its death
06:58:49 manual       openclaw …s7Xq (no provider of clawback knows this kind: a person has to revoke it); hint: revoke it in the console of openclaw; clawback cannot prove its death
06:58:49 manual       openclaw …mBmM (no provider of clawback knows this kind: a person has to revoke it); hint: revoke it in the console of openclaw; clawback cannot prove its death
06:58:49 manual       openclaw …Tqee (no provider of clawback knows this kind: a person has to revoke it); hint: revoke it in the console of openclaw; clawback cannot prove its death
06:58:49 manual       openai …ArZf (no provider of clawback knows this kind: a person has to revoke it); hint: revoke it in the console of openai; clawback cannot prove its death
06:58:49 manual       openclaw …VAzp (no provider of clawback knows this kind: a person has to revoke it); hint: revoke it in the console of openclaw; clawback cannot prove its death
06:58:49 manual       unknown …OKEN (its value could not be resolved on the host); hint: find out what it refers to and revoke it at its provider: clawback runs no command that it finds on a host
06:58:49 manual       stripe sk_live_…53Mq (no revocation call exists: a person has to do it); hint: Open the link in the account that the key belongs to. A key with _test_ in it is at https://dashboard.stripe.com/test/apikeys.: https://dashboard.stripe.com/apikeys
06:58:49 requested    aws AKIA…RLXF
06:58:49 requested    github: 2 in one request
06:58:49 requested    aws AKIA…H4DR
06:58:49 probe        slack xoxb-…cE6K alive: 200 ok user=deploy-bot
06:58:49 probe        slack xoxp-…p9nd alive: 200 ok user=ada
06:58:49 probe        slack xoxb-…GpuI alive: 200 ok user=deploy-bot
06:58:50 accepted     aws AKIA…RLXF, but it leaves alive: role sessions that user agent-2 began before live on until they expire, 12 h at most
06:58:50 probe        aws AKIA…RLXF alive: 200 arn:aws:iam::140766321075:user/agent-2
06:58:50 probe        github ghp_…PZQp alive: 200 login=acme-bot-1
06:58:50 probe        github github_pat_…Oezo alive: 200 login=acme-bot-3
06:58:50 accepted     aws AKIA…H4DR, but it leaves alive: role sessions that user agent-3 began before live on until they expire, 12 h at most
06:58:50 probe        aws AKIA…H4DR alive: 200 arn:aws:iam::140766321075:user/agent-3
06:58:51 requested    github: 2 in one request
06:58:54 probe        stripe sk_live_…53Mq alive: 200 balance in live mode
06:58:57 probe        github ghp_…Pb02 alive: 200 login=acme-bot-2
06:58:57 probe        github gho_…JKRZ alive: 200 login=acme-bot-4
06:58:59 sealed       files evidence, 38 files, 372.6 kB
06:58:59 question     Kill the agent without a last word
06:59:06 answer       yes, by the simulated person
06:59:09 command      by-hand unknown …OKEN, by the simulated person
06:59:15 killed       1 process; problem: home/openclaw/.openclaw-dev: its pending work is in a database and was not moved aside
06:59:15 unverified   unknown …OKEN (no probe can prove its death); hint: look at the provider's own console whether it is gone
06:59:19 down         /proc: no process of the agent
06:59:35 command      by-hand unknown …OKEN, by the simulated person
06:59:36 unverified   unknown …OKEN (no probe can prove its death); hint: look at the provider's own console whether it is gone
06:59:56 command      by-hand unknown …PxbV, by the simulated person
06:59:56 unverified   unknown …PxbV (no probe can prove its death); hint: look at the provider's own console whether it is gone
06:59:58 dead         slack xoxb-…cE6K (200 token_revoked ×13 over 1m3s, seen from vm)
06:59:58 dead         slack xoxb-…GpuI (200 token_revoked ×13 over 1m4s, seen from vm)
06:59:58 dead         aws AKIA…RLXF (403 InvalidClientTokenId The security token included in the request is invalid. ×13 over 1m4s, seen from vm)
06:59:58 dead         aws AKIA…H4DR (403 InvalidClientTokenId The security token included in the request is invalid. ×13 over 1m3s, seen from vm)
06:59:58 dead         slack xoxp-…p9nd (200 token_revoked ×13 over 1m4s, seen from vm)
07:00:16 command      by-hand openclaw …BX0V, by the simulated person
07:00:16 unverified   openclaw …BX0V (no probe can prove its death); hint: look at the provider's own console whether it is gone
07:00:20 dead         github github_pat_…Oezo (401 Bad credentials ×3 over 1m0s, seen from vm)
07:00:20 dead         github ghp_…PZQp (401 Bad credentials ×3 over 1m0s, seen from vm)
07:00:27 dead         github gho_…JKRZ (401 Bad credentials ×3 over 1m0s, seen from vm)
07:00:27 dead         github ghp_…Pb02 (401 Bad credentials ×3 over 1m0s, seen from vm)
07:00:38 command      by-hand openclaw …o4A2, by the simulated person
07:00:38 unverified   openclaw …o4A2 (no probe can prove its death); hint: look at the provider's own console whether it is gone
07:00:58 command      by-hand openclaw …, by the simulated person
07:00:58 unverified   openclaw … (no probe can prove its death); hint: look at the provider's own console whether it is gone
07:01:18 command      by-hand openclaw …s7Xq, by the simulated person
07:01:19 unverified   openclaw …s7Xq (no probe can prove its death); hint: look at the provider's own console whether it is gone
07:01:39 command      by-hand openclaw …mBmM, by the simulated person
07:01:42 unverified   openclaw …mBmM (no probe can prove its death); hint: look at the provider's own console whether it is gone
07:02:02 command      by-hand openclaw …Tqee, by the simulated person
07:02:59 unverified   openclaw …Tqee (no probe can prove its death); hint: look at the provider's own console whether it is gone
07:03:19 command      by-hand openai …ArZf, by the simulated person
07:03:20 unverified   openai …ArZf (no probe can prove its death); hint: look at the provider's own console whether it is gone
07:03:40 command      by-hand openclaw …VAzp, by the simulated person
07:03:43 unverified   openclaw …VAzp (no probe can prove its death); hint: look at the provider's own console whether it is gone
07:03:49 question     Find the first thing that the agent did and should not have
07:03:51 answer       yes done in the drill, by the simulated person
07:03:51 question     Look where an attacker stays
07:03:54 answer       yes done in the drill, by the simulated person
07:03:54 question     How did they get in?
07:03:56 answer       injection, by the simulated person
07:03:56 question     Close the way in
07:03:56 skipped      Revoke what other users keep on the host: only when root-cause is host
07:03:56 skipped      Give up the host: only when root-cause is host
07:03:56 skipped      Revoke what other users keep on the host: only when root-cause is unknown
07:03:56 skipped      Give up the host until more is known: only when root-cause is unknown
07:03:59 answer       yes done in the drill, by the simulated person
07:04:00 question     Rebuild from a clean baseline
07:04:03 answer       yes done in the drill, by the simulated person
07:04:03 command      by-hand unknown …OKEN, by the simulated person
07:04:03 unverified   unknown …OKEN (no probe can prove its death); hint: look at the provider's own console whether it is gone
07:04:03 question     Issue new credentials
07:04:06 answer       yes done in the drill, by the simulated person
07:04:11 question     Review
07:04:13 answer       yes done in the drill, by the simulated person
07:04:20 note         sweep: 1m38.2s from the first request at the providers to the last, 1.00 times the slowest single credential (1m37.9s), by the drill
07:04:23 command      by-hand stripe sk_live_…53Mq, by the simulated person
         sealed       write it down: 296:8dD0Hiy4tr5LNWOvGL46+1z4T8D7MIVaC5CGhxg0iRY=; clawback verify DRILL-20261123-0656-2 --noted SIZE:ROOT shows later whether these entries were changed

  ✓ dead        slack     xoxb-…cE6K        200 token_revoked ×13 over 1m3s, seen from vm
  ✓ dead        slack     xoxb-…GpuI        200 token_revoked ×13 over 1m4s, seen from vm
  ✓ dead        slack     xoxp-…p9nd        200 token_revoked ×13 over 1m4s, seen from vm
  ✓ dead        github    ghp_…PZQp         401 Bad credentials ×3 over 1m0s, seen from vm
  ✓ dead        github    ghp_…Pb02         401 Bad credentials ×3 over 1m0s, seen from vm
  ✓ dead        github    github_pat_…Oezo  401 Bad credentials ×3 over 1m0s, seen from vm
  ✓ dead        github    gho_…JKRZ         401 Bad credentials ×3 over 1m0s, seen from vm
  ✓ dead        aws       AKIA…RLXF         403 InvalidClientTokenId The security token included in the request is invalid. ×13 over 1m4s, seen from vm
  ✓ dead        aws       AKIA…H4DR         403 InvalidClientTokenId The security token included in the request is invalid. ×13 over 1m3s, seen from vm
  ▸ manual      stripe    sk_live_…53Mq     no revocation call exists: a person has to do it
  ? unverified  unknown   …OKEN             no probe can prove its death
  ? unverified  unknown   …OKEN             no probe can prove its death
  ? unverified  unknown   …PxbV             no probe can prove its death
  ? unverified  openclaw  …o4A2             no probe can prove its death
  ? unverified  openclaw  …BX0V             no probe can prove its death
  ? unverified  openclaw  …s7Xq             no probe can prove its death
  ? unverified  openclaw  …                 no probe can prove its death
  ? unverified  openclaw  …Tqee             no probe can prove its death
  ? unverified  openclaw  …mBmM             no probe can prove its death
  ? unverified  openclaw  …VAzp             no probe can prove its death
  ? unverified  openai    …ArZf             no probe can prove its death
  ? unverified  unknown   …OKEN             no probe can prove its death

hint: unknown …OKEN and 11 more: unproved: no probe can prove its death: look at the provider's own console whether it is gone
hint: aws AKIA…RLXF: lives on in spite of the revocation: role sessions that user agent-2 began before live on until they expire, 12 h at most
hint: aws AKIA…H4DR: lives on in spite of the revocation: role sessions that user agent-3 began before live on until they expire, 12 h at most
hint: stripe sk_live_…53Mq: waits for a person: no revocation call exists: a person has to do it: Open the link in the account that the key belongs to. A key with _test_ in it is at https://dashboard.stripe.com/test/apikeys.: https://dashboard.stripe.com/apikeys
07:04:24 timings      frozen after 34.9s, the slowest credential took 1m35.6s
07:04:24 adversary    97 calls after the alarm
07:04:24 report       /var/lib/clawback/incidents/DRILL-20261123-0656-2/report.md
07:04:24 unproved     9 dead, 12 unproved, 1 manual   exit 5   DRILL
