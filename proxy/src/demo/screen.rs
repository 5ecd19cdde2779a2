//! The live view: where each country goes, and what is known of each region.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table, Wrap};
use steer::ids::RegionId;
use steer::signals::Health;

use super::script::Script;
use super::stage::{Stage, commands};
use super::users::Tally;
use super::world::{REGIONS, countries};

const REDRAW: Duration = Duration::from_millis(100);
const EVENTS: usize = 6;
const KEYS: &str = " up/down: select  k: kill  r: revive  d: 100 ms more  w: weight  q: quit ";

const COLORS: [Color; REGIONS.len()] = [
    Color::Green,
    Color::Blue,
    Color::Cyan,
    Color::Yellow,
    Color::Magenta,
    Color::Red,
    Color::LightBlue,
    Color::LightYellow,
];

struct View {
    started: Instant,
    events: VecDeque<String>,
    selected: usize,
    weights: [u8; REGIONS.len()],
}

/// Shows the stage until the time is over or somebody quits.
pub(super) fn show(stage: &mut Stage, script: Option<Script>, duration: Option<Duration>) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let mut view =
        View { started: Instant::now(), events: VecDeque::new(), selected: 0, weights: [100; REGIONS.len()] };
    let mut script = script;
    let shown = loop {
        if duration.is_some_and(|duration| view.started.elapsed() >= duration) {
            break Ok(());
        }
        if let Some(said) = script.as_mut().and_then(|script| script.play(view.started.elapsed(), stage)) {
            view.say(&said);
        }
        if let Err(error) = terminal.draw(|frame| view.draw(frame, stage)) {
            break Err(error);
        }
        match event::poll(REDRAW).and_then(|ready| if ready { event::read().map(Some) } else { Ok(None) }) {
            Ok(Some(Event::Key(key))) if key.kind == KeyEventKind::Press => {
                let quits = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                if quits || !view.obey(key.code, stage) {
                    break Ok(());
                }
            }
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    ratatui::try_restore()?;
    shown
}

impl View {
    fn say(&mut self, said: &str) {
        self.events.push_front(format!("{:5.1} s  {said}", self.started.elapsed().as_secs_f64()));
        self.events.truncate(EVENTS);
    }

    /// Does what a key says; whether to go on.
    fn obey(&mut self, key: KeyCode, stage: &mut Stage) -> bool {
        let region = self.selected;
        let name = REGIONS[region].0;
        match key {
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Up => self.selected = self.selected.checked_sub(1).unwrap_or(REGIONS.len() - 1),
            KeyCode::Down => self.selected = (self.selected + 1) % REGIONS.len(),
            KeyCode::Char('k') if stage.relays[region].is_alive() => {
                stage.kill(region);
                self.say(&format!("{name} is killed"));
            }
            KeyCode::Char('r') if !stage.relays[region].is_alive() => {
                stage.revive(region);
                self.say(&format!("{name} lives again"));
            }
            KeyCode::Char('d') => {
                stage.slow_down(region);
                self.say(&format!("the way to {name} is 100 ms longer"));
            }
            KeyCode::Char('w') => {
                let weight = &mut self.weights[region];
                *weight = if *weight == 0 { 100 } else { *weight - 25 };
                let weight = *weight;
                stage.set_weight(region, weight);
                self.say(&format!("{name} has weight {weight}"));
            }
            _ => {}
        }
        true
    }

    fn draw(&self, frame: &mut Frame<'_>, stage: &Stage) {
        let tally = stage.users.tally();
        let [top, regions, middle, bottom] = Layout::vertical([
            Constraint::Length(3),
            Constraint::Length(u16::try_from(REGIONS.len()).unwrap_or(8) + 3),
            Constraint::Min(8),
            Constraint::Length(7),
        ])
        .areas(frame.area());
        let [countries, events] =
            Layout::horizontal([Constraint::Percentage(60), Constraint::Percentage(40)]).areas(middle);
        frame.render_widget(headline(self.started.elapsed(), &tally), top);
        frame.render_widget(self.regions(stage, &tally), regions);
        frame.render_widget(country_table(&tally, countries.width), countries);
        let log = Text::from_iter(self.events.iter().map(|said| Line::from(said.as_str())));
        let log = Paragraph::new(log).wrap(Wrap { trim: false });
        let log = log.block(Block::bordered().title(" what happened "));
        frame.render_widget(log, events);
        let paste = Paragraph::new(commands(stage).join("\n")).style(Style::new().dim());
        frame.render_widget(paste.block(Block::bordered().title(" paste into another terminal ")), bottom);
    }

    fn regions(&self, stage: &Stage, tally: &Tally) -> Table<'static> {
        let snapshot = stage.edge.publisher().snapshot();
        let total: f64 = tally.recent.iter().flatten().sum::<f64>().max(1e-9);
        let rows =
            (0..).map_while(RegionId::new).zip(REGIONS).enumerate().map(|(index, (id, (name, _, _, _)))| {
                let ranked = snapshot.ranking.regions.get(id.index()).copied().unwrap_or_default();
                let observed = snapshot.vitals.placements[index].observed();
                let share = tally.recent.iter().map(|country| country[index]).sum::<f64>() / total;
                let weight = snapshot.overlay.region(name).weight.as_ref().map_or(100, |weight| weight.value);
                let health = match observed.health {
                    Health::Recovering if observed.ramp > 0 => {
                        format!(
                            "recovering {} %",
                            u32::from(observed.ramp) * 100 / u32::from(steer::signals::RAMP_WHOLE)
                        )
                    }
                    health => health.as_str().to_owned(),
                };
                let color = match observed.health {
                    Health::Up => Color::Green,
                    Health::Recovering | Health::Suspect | Health::Unknown => Color::Yellow,
                    Health::Down | Health::Held => Color::Red,
                };
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 30")]
                let bar = "█".repeat((share * 30.0).round() as usize);
                let marker = if index == self.selected { "▶" } else { " " };
                Row::new(vec![
                    Cell::from(format!("{marker} {name}")).fg(COLORS[index]),
                    Cell::from(health).fg(color),
                    Cell::from(format!(
                        "{:>6}",
                        ranked.latency_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"))
                    )),
                    Cell::from(format!("{:>6}", stage.relays[index].round_trip_ms())),
                    Cell::from(format!("{weight:>6}")),
                    Cell::from(format!("{:>5.1} %", share * 100.0)),
                    Cell::from(bar).fg(COLORS[index]),
                ])
            });
        let widths = [
            Constraint::Length(16),
            Constraint::Length(16),
            Constraint::Length(8),
            Constraint::Length(8),
            Constraint::Length(8),
            Constraint::Length(8),
            Constraint::Min(10),
        ];
        Table::new(rows.collect::<Vec<_>>(), widths)
            .header(Row::new(["  region", "health", "  L ms", "path ms", "weight", "share", ""]).bold())
            .block(Block::bordered().title(" regions, as one PoP in Frankfurt sees them ").title_bottom(KEYS))
    }
}

fn headline(elapsed: Duration, tally: &Tally) -> Paragraph<'static> {
    let failures = Span::from(format!("{} failed", tally.failures));
    let failures = if tally.failures == 0 { failures.green() } else { failures.red().bold() };
    let line = Line::from(vec![
        Span::from(format!("{:.0} s   {} requests   ", elapsed.as_secs_f64(), tally.requests)),
        failures,
        Span::from(format!("   slowest {:.0} ms", tally.slowest.as_secs_f64() * 1000.0)),
    ]);
    Paragraph::new(line).block(Block::bordered().title(" nearside demo "))
}

/// Where each country goes: its code, and its regions in the colors of the table above.
fn country_table(tally: &Tally, width: u16) -> Paragraph<'static> {
    const CELL: u16 = 14;
    let per_line = usize::from((width.saturating_sub(2) / CELL).max(1));
    let cells: Vec<Vec<Span<'static>>> = countries()
        .zip(&tally.recent)
        .map(|(code, regions)| {
            let total: f64 = regions.iter().sum();
            let mut spans = vec![Span::from(format!("{code} ")).bold()];
            let mut left = 10;
            for (region, count) in regions.iter().enumerate().filter(|(_, count)| **count > 0.0) {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 10")]
                let blocks = ((count / total.max(1e-9) * 10.0).round() as usize).min(left);
                left -= blocks;
                spans.push(Span::from("█".repeat(blocks)).fg(COLORS[region]));
            }
            spans.push(Span::from(" ".repeat(left + 1)));
            spans
        })
        .collect();
    let lines: Vec<Line<'static>> = cells.chunks(per_line).map(|cells| Line::from(cells.concat())).collect();
    Paragraph::new(lines).block(Block::bordered().title(" where each country's users go "))
}
