package wire

import "testing"

func TestSubjects(t *testing.T) {
	for _, test := range []struct{ got, want, host string }{
		{BeatSubject("east-2"), "holter.v1.beat.east-2", "east-2"},
		{StatusSubject("east-2"), "holter.v1.status.east-2", "east-2"},
		{ClockSubject("east-2"), "holter.v1.clock.east-2", "east-2"},
		{JoinSubject("east-2"), "holter.v1.join.east-2", "east-2"},
		{AssignSubject("east-2"), "holter.v1.assign.east-2", "east-2"},
		{CommandSubject("east-2"), "holter.v1.command.east-2", "east-2"},
		{ResultSubject("east-2"), "holter.v1.result.east-2", "east-2"},
		{ViewSubject("m1"), "holter.v1.view.m1", "m1"},
		{LevelSubject("m1"), "holter.v1.level.m1", "m1"},
		{HelloSubject("m1"), "holter.v1.hello.m1", "m1"},
		{AllBeats(), "holter.v1.beat.*", "*"},
		{AllStatuses(), "holter.v1.status.*", "*"},
		{AllClocks(), "holter.v1.clock.*", "*"},
		{AllJoins(), "holter.v1.join.*", "*"},
		{AllResults(), "holter.v1.result.*", "*"},
		{AllViews(), "holter.v1.view.*", "*"},
		{AllLevels(), "holter.v1.level.*", "*"},
		{AllHellos(), "holter.v1.hello.*", "*"},
		{OfferSubject("east-2"), "holter.v1.offer.east-2", "east-2"},
		{RenewSubject("east-2"), "holter.v1.renew.east-2", "east-2"},
		{AckSubject("east-2"), "holter.v1.ack.east-2", "east-2"},
		{ReportSubject("m1"), "holter.v1.report.m1", "m1"},
		{ReadIndexSubject("m1"), "holter.v1.readindex.m1", "m1"},
		{FencedSubject("m1"), "holter.v1.fenced.m1", "m1"},
		{AllRenews(), "holter.v1.renew.*", "*"},
		{AllReports(), "holter.v1.report.*", "*"},
		{AllReadIndexes(), "holter.v1.readindex.*", "*"},
		{AllFenced(), "holter.v1.fenced.*", "*"},
	} {
		if test.got != test.want {
			t.Errorf("got %s, want %s", test.got, test.want)
		}
		if got := HostOf(test.got); got != test.host {
			t.Errorf("HostOf(%s): got %q, want %q", test.got, got, test.host)
		}
	}
}

func TestHostOfOthers(t *testing.T) {
	for _, subject := range []string{
		"", "holter.v1.", "holter.v1.beat", "holter.v1.beat.", "holter.v2.beat.a", "x.holter.v1.beat.a", "holter.v1.beat.a.b",
	} {
		if got := HostOf(subject); got != "" {
			t.Errorf("HostOf(%q): got %q, want none", subject, got)
		}
	}
}
