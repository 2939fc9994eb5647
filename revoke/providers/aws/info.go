package aws

import (
	"net/http"
	"slices"
	"time"

	"clawback/revoke"
)

// 3 to 4 seconds were measured by others; AWS itself names no bound.
var propagation = revoke.Propagation{
	Budget: time.Minute, Every: 5 * time.Second, Refusals: 3,
	Source: "clawback's own margin: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency names no time",
}

func (p *provider) Info() revoke.Info {
	info := revoke.Info{
		Name: "aws", Title: "AWS",
		Hosts: []string{stsHost, iamHost, trailHost, bedrockHost, secretsHost, organizationsHost},
		Reads: []revoke.Read{
			{Method: http.MethodGet, Path: "/foundation-models"},
			{Method: http.MethodPost, Path: "/", Header: map[string]string{"X-Amz-Target": lookupEvents, "Content-Type": jsonType}},
			{Method: http.MethodPost, Path: "/", Header: map[string]string{"X-Amz-Target": describeSecret, "Content-Type": jsonType}},
		},
		Kinds: []revoke.KindInfo{keyInfo, sessionInfo, mintedInfo, userInfo, bedrockInfo, shortInfo, secretInfo, ssoInfo},
	}
	for _, action := range []string{
		"GetCallerIdentity", "GetAccessKeyInfo", "GetAccessKeyLastUsed", "ListAccessKeys", "ListAccountAliases", "GetUser", "GetUserPolicy",
		"GetLoginProfile", "ListServiceSpecificCredentials",
	} {
		info.Reads = append(info.Reads, revoke.Read{Method: http.MethodPost, Path: "/", Form: map[string]string{"Action": action}})
	}
	if p.org != nil {
		for i := range info.Kinds {
			if kind := &info.Kinds[i]; slices.Contains([]string{keyKind, sessionKind, userKind}, kind.Kind) {
				kind.Effect += "; its organization denies the same to it"
				kind.Authority += "; of settings.aws.organization: organizations:DescribePolicy, organizations:ListTargetsForPolicy, " +
					"organizations:ListParents, organizations:UpdatePolicy"
			}
		}
	}
	if p.settings.DeletePasswords {
		for i := range info.Kinds {
			if kind := &info.Kinds[i]; slices.Contains([]string{keyKind, sessionKind, userKind}, kind.Kind) { // a deny-all is put
				kind.Effect += "; the user's console password is deleted, which cannot be undone"
				kind.Authority += ", iam:DeleteLoginProfile"
			}
		}
	}
	return info
}

var keyInfo = revoke.KindInfo{
	Kind: keyKind,
	// Keys of other partitions (China, GovCloud) look alike, and are refused here too.
	NeedsAlive: true,
	Link:       "https://console.aws.amazon.com/iam/home#/users",
	Steps: []string{
		"Done by hand where the secret was not found, or does not belong to the key id: the id may be planted, to have an innocent user's key revoked.",
		"Find out who owns the key id: search for it among the users of each account, and ask the owner whether the key is theirs and whether it was on the host under response.",
		"If it was: deactivate the key, create another one where it is needed, and stop what the key may have issued with a deny-all policy on its user.",
		"If it was not: leave the key alone.",
	},
	Authority:  "iam:GetAccessKeyLastUsed, iam:ListAccessKeys, iam:PutUserPolicy, iam:UpdateAccessKey, iam:GetLoginProfile, cloudtrail:LookupEvents",
	Reversible: true,
	Unanswered: "no answer says that the deny-all policy is on its user: what the key issued or created before may not be stopped",
	Effect:     "a deny-all policy stops its whole user: all keys, sessions and the console",
	Mints:      []string{keyKind, sessionKind, mintedKind, userKind},

	Propagation: propagation,
	Source:      "https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAccessKey.html",
}

// sessionInfo is not marked as unverifiable: the exceptions are a session of GetSessionToken without
// MFA, and one that was never seen without a deny. Verify stays inconclusive and says why.
var sessionInfo = revoke.KindInfo{
	Kind:       sessionKind,
	Authority:  "iam:PutRolePolicy, iam:PutUserPolicy, cloudtrail:LookupEvents",
	Reversible: true,
	Effect:     "a deny-all policy stops every session of its role that was issued before, or its whole user",
	Mints:      []string{sessionKind, mintedKind, userKind},

	Propagation: propagation,
	Source:      "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html",
}

var mintedInfo = revoke.KindInfo{
	Kind:       mintedKind,
	ByRef:      true,
	Link:       "https://console.aws.amazon.com/iam/home#/users",
	Authority:  "iam:ListAccessKeys, iam:UpdateAccessKey, iam:PutUserPolicy, cloudtrail:LookupEvents",
	Reversible: true,
	Effect:     "all sessions of its user that were issued before end, the user's other access keys go on",
	Mints:      []string{sessionKind, mintedKind, userKind},

	Propagation: propagation,
	Source:      "https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAccessKey.html",
}

var userInfo = revoke.KindInfo{
	Kind:       userKind,
	ByRef:      true,
	Link:       "https://console.aws.amazon.com/iam/home#/users",
	Authority:  "iam:GetUser, iam:GetUserPolicy, iam:PutUserPolicy, cloudtrail:LookupEvents",
	Reversible: true,
	Effect:     "a deny-all policy stops all that the user holds: keys, sessions and the console",
	Mints:      []string{sessionKind, mintedKind, userKind},

	Propagation: propagation,
	Source:      "https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutUserPolicy.html",
}

var bedrockInfo = revoke.KindInfo{
	Kind: bedrockKind,
	// It is tried in one region; a key that is not good there is refused as well.
	NeedsAlive: true,
	Link:       "https://console.aws.amazon.com/bedrock/home#/api-keys",
	Steps: []string{
		"Done by hand where Bedrock refuses what was found and IAM lists its key as Active: what was found may be planted, to have an innocent user's key revoked.",
		"Ask the owner of the user that the key names whether the key was on the host under response; if it was, deactivate it.",
	},
	Authority:  "iam:ListServiceSpecificCredentials, iam:UpdateServiceSpecificCredential",
	Reversible: true,
	Effect:     "none beside: its user's other keys go on",

	Propagation: propagation,
	Source:      "https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-revoke.html",
}

var shortInfo = revoke.KindInfo{
	Kind:         shortKind,
	Unkillable:   "it is a signed request that AWS keeps no record of: revoke the session or key that signed it, which ends it within 12 hours",
	Unverifiable: "AWS documents no answer that tells a dead key",
	Source:       "https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-revoke.html",
}

var secretInfo = revoke.KindInfo{
	Kind:  secretKind,
	ByRef: true,
	Link:  "https://console.aws.amazon.com/secretsmanager/listsecrets",
	Steps: []string{
		"Done by hand for the current version of a secret, which its label cannot be taken from: rotate the secret, and what it opens.",
		"Then the version that was exposed is an older one: revoke it again, or take its label AWSPREVIOUS.",
	},
	Authority:    "secretsmanager:DescribeSecret, secretsmanager:UpdateSecretVersionStage",
	Reversible:   true,
	Effect:       "what asks for the secret by the labels of the version is refused",
	Unverifiable: "who may read the secret can read a version without labels by its id, until Secrets Manager deletes it",
	Source:       "https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html",
}

// ssoInfo is of what aws sso login leaves in ~/.aws/sso/cache.
var ssoInfo = revoke.KindInfo{
	Kind: ssoKind, Manual: true,
	Link: "https://console.aws.amazon.com/singlesignon/home",
	Steps: []string{
		"Open IAM Identity Center as its administrator, in its region: Users, the user whose session it is, Active sessions.",
		"Select every session that may be the agent's, and choose Delete session.",
		"Where the user may be an intruder's by now, disable user access as well, before the sessions.",
		"Sessions of roles that it got live on, 12 h at most: deny each role's older sessions (Revoke active sessions, at the role in its account), or the user in a policy that was prepared for that.",
		"Look in CloudTrail for what the user did in each account meanwhile.",
	},
	Effect:       "the user has to sign in again; roles that were assumed before go on until they expire",
	Unverifiable: "it is asked at the portal of its own region, which is not known, and others refuse every session",
	Source:       "https://docs.aws.amazon.com/singlesignon/latest/userguide/end-active-sessions.html",
}
