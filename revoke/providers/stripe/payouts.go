package stripe

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	library "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/account"

	"clawback/revoke"
	"clawback/revoke/credential"
	"clawback/revoke/lazyregexp"
)

// payoutsID names the payouts of a connected account, apart from the access to it.
var payoutsID = lazyregexp.New(`\A(acct_[0-9A-Za-z]{8,100})/payouts\z`)

// heldFrom is the account's metadata under which stands which schedule was replaced, so that whoever
// undoes it needs to remember nothing.
const heldFrom = "clawback_payouts_were"

const manual = library.AccountSettingsPayoutsScheduleIntervalManual

var (
	errNotHeld    = errors.New("the settings of stripe do not allow it: hold_payouts")
	errNoSchedule = errors.New("an answer without a payout schedule")
	errForgotten  = errors.New("which payout schedule it had is not to be told from its metadata")
)

func (p *provider) accounts(key string, c credential.Credential) account.Client {
	return account.Client{B: p.sending(key, c), Key: key}
}

// schedule reads an account and its payout schedule as the platform.
// https://docs.stripe.com/api/accounts/retrieve
func (p *provider) schedule(ctx context.Context, c credential.Credential) (key string, a *library.Account, err error) {
	m := payoutsID.FindStringSubmatch(c.Ref["id"])
	if m == nil {
		return "", nil, errNoAccount
	}
	if key, err = p.authorityFor(ctx, c); err != nil {
		return "", nil, err
	}
	a, err = p.accounts(key, c).GetByID(m[1], &library.AccountParams{Params: library.Params{Context: ctx}})
	if f, ok := errors.AsType[*failure](err); ok {
		return "", nil, f.ofAuthority()
	}
	if a.ID != m[1] || intervalOf(a) == "" {
		return "", nil, errNoSchedule
	}
	return key, a, nil
}

func intervalOf(a *library.Account) library.AccountSettingsPayoutsScheduleInterval {
	if a.Settings == nil || a.Settings.Payouts == nil || a.Settings.Payouts.Schedule == nil {
		return ""
	}
	return a.Settings.Payouts.Schedule.Interval
}

// verifyPayouts asks how money leaves the account: held means manual.
func (p *provider) verifyPayouts(ctx context.Context, c credential.Credential) revoke.Verdict {
	_, a, err := p.schedule(ctx, c)
	if err != nil {
		return inconclusive(err, c)
	}
	v := revoke.Verdict{Outcome: revoke.Alive, Answer: sawPayouts(a)}
	if intervalOf(a) == manual {
		v.Outcome = revoke.Refused
	}
	return v
}

func sawPayouts(a *library.Account) string {
	return revoke.Answer(a.LastResponse.StatusCode, fmt.Sprintf("payouts of %s are %s", a.ID, intervalOf(a)), credential.Secret{})
}

func (p *provider) inspectPayouts(ctx context.Context, c credential.Credential) (revoke.Exposure, error) {
	_, a, err := p.schedule(ctx, c)
	if err != nil {
		return revoke.Exposure{}, fmt.Errorf("inspect %s: %w", c, err)
	}
	return revoke.Exposure{Account: a.ID, Reach: []string{"the balance of the connected account"}, Answer: sawPayouts(a)}, nil
}

// holdPayouts sets the schedule to manual, and notes the old one in the account's metadata.
// https://docs.stripe.com/connect/manage-payout-schedule
func (p *provider) holdPayouts(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: nothing was sent: %w", c, err)
	}
	if !p.settings.HoldPayouts {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w: %w", c, errNotHeld, revoke.ErrManual)
	}
	key, a, err := p.schedule(ctx, c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, err)
	}
	left := []string{"payouts that are pending or on their way: cancel those that are manual, an automatic one cannot be canceled"}
	if intervalOf(a) == manual {
		return revoke.Receipt{Already: true, Answer: sawPayouts(a), Left: left}, nil
	}
	was := note(a)
	if _, err := parseNote(was); err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: it could not be undone: %w", c, err)
	}
	hold := library.AccountParams{Params: library.Params{Context: ctx}}
	hold.Settings = settingsOf(&library.AccountSettingsPayoutsScheduleParams{Interval: library.String(string(manual))})
	hold.AddMetadata(heldFrom, was)
	if err := p.set(key, c, a.ID, &hold, manual); err != nil {
		return revoke.Receipt{}, fmt.Errorf("revoke %s: %w", c, err)
	}
	return revoke.Receipt{
		Answer: "200 payouts of " + a.ID + " are manual", Did: []string{"payout schedule of " + a.ID + " from " + was + " to manual"}, Left: left,
	}, nil
}

// Undo gives an account the payout schedule back that holdPayouts noted.
func (p *provider) Undo(ctx context.Context, c credential.Credential) (revoke.Receipt, error) {
	if c.Kind != kindPayouts || !p.settings.HoldPayouts {
		return revoke.Receipt{}, fmt.Errorf("undo %s: it cannot be undone", c)
	}
	key, a, err := p.schedule(ctx, c)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("undo %s: %w", c, err)
	}
	was := a.Metadata[heldFrom]
	if was == "" || intervalOf(a) != manual {
		return revoke.Receipt{Already: true, Answer: sawPayouts(a)}, nil
	}
	back, err := parseNote(was)
	if err != nil {
		return revoke.Receipt{}, fmt.Errorf("undo %s: %w", c, err)
	}
	give := library.AccountParams{Params: library.Params{Context: ctx}, Settings: settingsOf(back)}
	give.AddMetadata(heldFrom, "")
	if err := p.set(key, c, a.ID, &give, library.AccountSettingsPayoutsScheduleInterval(*back.Interval)); err != nil {
		return revoke.Receipt{}, fmt.Errorf("undo %s: %w", c, err)
	}
	return revoke.Receipt{Answer: "200 payouts of " + a.ID + " are " + was, Did: []string{"payout schedule of " + a.ID + " back to " + was}}, nil
}

func settingsOf(s *library.AccountSettingsPayoutsScheduleParams) *library.AccountSettingsParams {
	return &library.AccountSettingsParams{Payouts: &library.AccountSettingsPayoutsParams{Schedule: s}}
}

// set changes an account, and holds the answer to what was asked. https://docs.stripe.com/api/accounts/update
func (p *provider) set(key string, c credential.Credential, id string, to *library.AccountParams, want library.AccountSettingsPayoutsScheduleInterval) error {
	a, err := p.accounts(key, c).Update(id, to)
	if f, ok := errors.AsType[*failure](err); ok {
		return f.ofDeletion()
	}
	if a.ID != id || intervalOf(a) != want {
		return fmt.Errorf("%w: %w", revoke.ErrUncertain, errNoSchedule)
	}
	return nil
}

// note writes a schedule as one word: daily, weekly:monday, monthly:31.
func note(a *library.Account) string {
	s := a.Settings.Payouts.Schedule
	switch s.Interval {
	case library.AccountSettingsPayoutsScheduleIntervalWeekly:
		return "weekly:" + s.WeeklyAnchor
	case library.AccountSettingsPayoutsScheduleIntervalMonthly:
		return "monthly:" + strconv.FormatInt(s.MonthlyAnchor, 10)
	}
	return string(s.Interval)
}

var weekday = lazyregexp.New(`\A(?:mon|tues|wednes|thurs|fri|satur|sun)day\z`)

// parseNote reads what note wrote. Whoever may write the account's metadata may have written it.
func parseNote(text string) (*library.AccountSettingsPayoutsScheduleParams, error) {
	interval, anchor, _ := strings.Cut(text, ":")
	s := &library.AccountSettingsPayoutsScheduleParams{Interval: &interval}
	day, err := strconv.ParseInt(anchor, 10, 64)
	switch {
	case text == "daily":
	case interval == "weekly" && weekday.MatchString(anchor):
		s.WeeklyAnchor = &anchor
	case interval == "monthly" && err == nil && day >= 1 && day <= 31:
		s.MonthlyAnchor = &day
	default:
		return nil, errForgotten
	}
	return s, nil
}
