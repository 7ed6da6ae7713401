package main

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"hyperlight/engine/model"
	api "hyperlight/http"
)

func (a *app) newSignalCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "signal",
		Short:   "List, show and delete signals, send a delivery again",
		Long:    "These commands act on the running server, or on its store while none runs. Users make and change signals through the API.",
		Example: "  hyperlight signal list",
		Args:    cobra.ArbitraryArgs,
		RunE:    subcommand,
	}
	cmd.AddCommand(a.newSignalListCommand(), a.newSignalShowCommand(), a.newSignalResendCommand(), a.newSignalDeleteCommand())
	return cmd
}

var signalView = listView[*api.ControlSignal]{
	header: []string{"id", "user", "name", "market", "state", "triggers", "last_triggered", "created"},
	cells: func(s *api.ControlSignal) []string {
		state := "enabled"
		switch {
		case s.Suspended:
			state = "suspended"
		case !s.Enabled:
			state = "disabled"
		case s.Paused != "":
			state = "paused"
		}
		return []string{
			s.ID, s.User, s.Name, s.Symbol, state, strconv.FormatUint(s.Triggers, 10), timeText(s.LastTriggered), timeText(s.Created),
		}
	},
}

func (a *app) newSignalListCommand() *cobra.Command {
	var stream bool
	var email string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the signals, oldest first",
		Example: "  hyperlight signal list --user ada@example.com",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withOperator(storeThere, func(o *operator) error {
				return printList(a, signalView, stream, listRows[*api.ControlSignal](cmd.Context(), o, "signal/list", email, controlPage,
					func(p api.ControlPage) any { return api.ControlSignalList{Email: email, ControlPage: p} }))
			})
		},
	}
	cmd.Flags().StringVar(&email, "user", "", "`EMAIL` of one user; else of all")
	addStreamFlag(cmd, &stream)
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

func (a *app) newSignalShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a signal and its last deliveries",
		Example: "  hyperlight signal show 7b0c1c8e-8a55-4d0e-9b2f-0c6f1c1f2a10",
		Args:    exactArgs("the signal's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s api.ControlSignal
			if err := a.operate(cmd, storeThere, "signal/show", args[0], &api.ControlID{ID: args[0]}, &s); err != nil {
				return err
			}
			out := result{header: []string{"delivery_id", "status", "attempts", "last_status_code", "last_error", "triggered", "url"}, json: &s}
			for _, text := range s.Deliveries {
				var d struct {
					ID        string        `json:"delivery_id"`
					URL       string        `json:"url"`
					Status    string        `json:"status"`
					Attempts  int           `json:"attempts"`
					Code      *int          `json:"last_status_code"`
					Error     *string       `json:"last_error"`
					Triggered *model.Millis `json:"triggered_at"`
				}
				if err := json.Unmarshal(text, &d); err != nil {
					return failf(exitFailure, "", "read the answer: %w", err)
				}
				code, fault := "", ""
				if d.Code != nil {
					code = strconv.Itoa(*d.Code)
				}
				if d.Error != nil {
					fault = *d.Error
				}
				out.rows = append(out.rows, []string{d.ID, d.Status, strconv.Itoa(d.Attempts), code, fault, timeText(d.Triggered), d.URL})
			}
			a.say("%s of %s: %s on %s, to %s", s.Name, s.User, s.Rule, s.Symbol, strings.Join(s.URLs, " "))
			return a.print(out)
		},
	}
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

func (a *app) newSignalResendCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "resend ID DELIVERY",
		Short:   "Send a delivery of a signal again, under its id",
		Example: "  hyperlight signal resend 7b0c1c8e-8a55-4d0e-9b2f-0c6f1c1f2a10 5e3c1b9e-1d35-4a8f-8f0e-0d4a7d1f9b01",
		Args:    exactArgs("the signal's id", "the delivery's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var d api.ControlDelivery
			if err := a.operate(cmd, storeThere, "signal/resend", args[1], &api.ControlResend{Signal: args[0], Delivery: args[1]}, &d); err != nil {
				return err
			}
			return a.print(result{header: []string{"delivery_id", "status", "url"}, rows: [][]string{{d.ID, d.Status, d.URL}}, json: &d})
		},
	}
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}

func (a *app) newSignalDeleteCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "delete ID",
		Short:   "Delete a signal with what waits to be delivered of it",
		Example: "  hyperlight signal delete 7b0c1c8e-8a55-4d0e-9b2f-0c6f1c1f2a10 --yes",
		Args:    exactArgs("the signal's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirm(yes, "delete signal "+args[0]+" for good"); err != nil {
				return err
			}
			var out api.ControlDeleted
			if err := a.operate(cmd, storeThere, "signal/delete", args[0], &api.ControlID{ID: args[0]}, &out); err != nil {
				return err
			}
			return a.print(result{header: []string{"id"}, rows: [][]string{{out.ID}}, json: &out})
		},
	}
	addYesFlag(cmd, &yes)
	a.settingFlag(cmd, "storage-dir", "storage.dir", "data `DIRECTORY`")
	return cmd
}
