#include "base/pdf/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/core/encoding.h"
#include "base/pdf/canvas.h"

namespace tidegate::pdf {

namespace {

constexpr std::size_t kRowsMax = 20'000;
constexpr std::size_t kCellBytesMax = 2'000;
constexpr std::size_t kPartiesMax = 3;

constexpr double kLeft = Canvas::kMargin;
constexpr double kInner = Canvas::kWidth - 2 * Canvas::kMargin;
constexpr double kBottom = Canvas::kHeight - 62;  // the footer is below
constexpr double kGutter = 6;
constexpr double kPadding = 3.2;

constexpr Style kTitle{22, true, 0.1};
constexpr Style kIssuer{11, true, 0.1};
constexpr Style kHeading{11, true, 0.1};
constexpr Style kLabel{8, false, 0.45};
constexpr Style kText{9, false, 0.13};
constexpr Style kStrong{9, true, 0.1};
constexpr Style kCell{8, false, 0.13};
constexpr Style kCellStrong{8, true, 0.1};
constexpr Style kNote{8, false, 0.35};
constexpr Style kTotal{11, true, 0.05};

/// Lays the report out from top to bottom, breaking pages.
class Layout {
 public:
  Layout(const Report& report, Canvas& canvas, int pages) : report_(report), canvas_(canvas), pages_(pages) {}

  int run() {
    open_page();
    draw_head();
    draw_facts();
    draw_parties();
    for (const auto& table : report_.tables) draw_table(table);
    draw_totals();
    draw_notes();
    draw_footer();
    return page_;
  }

 private:
  void open_page() {
    ++page_;
    y_ = Canvas::kMargin;
    if (!report_.mark.empty()) canvas_.watermark(report_.mark);
  }
  void break_page() {
    draw_footer();
    canvas_.next_page();
    open_page();
    // What a page lost from its neighbours still belongs to.
    y_ += canvas_.text(report_.subject, kLeft, y_, kInner, kLabel) + 8;
  }
  bool fits(double height) const { return y_ + height <= kBottom; }

  void draw_footer() {
    const double y = Canvas::kHeight - 46;
    canvas_.rule(kLeft, y - 5, kInner, 0.8, 0.5);
    canvas_.text(report_.footer, kLeft, y, kInner * 0.75, kLabel);
    // While counting, the total is a number of the same width.
    canvas_.text(fmt::format("Page {} of {}", page_, pages_ == 0 ? page_ : pages_), kLeft, y, kInner, kLabel,
                 Align::kRight);
  }

  void draw_head() {
    const double right =
        canvas_.text(report_.issuer, kLeft + kInner * 0.45, y_ + 8, kInner * 0.55, kIssuer, Align::kRight);
    const double left = canvas_.text(report_.title, kLeft, y_, kInner * 0.5, kTitle);
    y_ += std::max(left, right + 8) + 8;
    canvas_.rule(kLeft, y_, kInner, 0.1, 1.2);
    y_ += 12;
  }

  void draw_facts() {
    const double half = kInner / 2;
    for (std::size_t i = 0; i < report_.facts.size(); i += 2) {
      double height = 0;
      for (std::size_t k = i; k < std::min(i + 2, report_.facts.size()); ++k) {
        const double x = kLeft + (k - i) * half;
        canvas_.text(report_.facts[k].first, x, y_ + 1, 92, kLabel);
        height = std::max(height, canvas_.text(report_.facts[k].second, x + 96, y_, half - 102, kText));
      }
      y_ += height + 3;
    }
    y_ += 10;
  }

  void draw_parties() {
    if (report_.parties.empty()) return;
    const double width = kInner / static_cast<double>(report_.parties.size());
    double height = 0;
    for (std::size_t i = 0; i < report_.parties.size(); ++i) {
      const Block& block = report_.parties[i];
      const double x = kLeft + static_cast<double>(i) * width;
      double y = y_;
      y += canvas_.text(block.title, x, y, width - 12, kLabel) + 2;
      bool is_first = true;
      for (const auto& line : block.lines) {
        if (line.empty()) continue;
        y += canvas_.text(line, x, y, width - 12, is_first ? kStrong : kText) + 1;
        is_first = false;
      }
      height = std::max(height, y - y_);
    }
    y_ += height + 14;
  }

  std::vector<double> widths_of(const Table& table) const {
    int shares = 0;
    for (const auto& column : table.columns) shares += column.width;
    std::vector<double> out;
    for (const auto& column : table.columns) out.push_back(kInner * column.width / shares);
    return out;
  }

  void draw_table_head(const Table& table, const std::vector<double>& widths) {
    double height = 0;
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      height = std::max(height, canvas_.height_of(table.columns[i].title, widths[i] - kGutter, kCellStrong));
    }
    canvas_.box(kLeft, y_, kInner, height + 2 * kPadding, 0.93);
    double x = kLeft;
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      canvas_.text(table.columns[i].title, x + kGutter / 2, y_ + kPadding, widths[i] - kGutter, kCellStrong,
                   table.columns[i].align);
      x += widths[i];
    }
    y_ += height + 2 * kPadding;
  }

  double row_height(const Table& table, const std::vector<double>& widths, const Row& row) {
    if (row.style == RowStyle::kSection) {
      return canvas_.height_of(row.cells.empty() ? "" : row.cells.front(), kInner - kGutter, kCellStrong) +
             2 * kPadding + 3;
    }
    const Style& style = row.style == RowStyle::kSubtotal ? kCellStrong : kCell;
    double height = 0;
    for (std::size_t i = 0; i < std::min(table.columns.size(), row.cells.size()); ++i) {
      height = std::max(height, canvas_.height_of(row.cells[i], widths[i] - kGutter, style));
    }
    return height + 2 * kPadding;
  }

  void draw_row(const Table& table, const std::vector<double>& widths, const Row& row, double height) {
    if (row.style == RowStyle::kSection) {
      canvas_.text(row.cells.empty() ? "" : row.cells.front(), kLeft + kGutter / 2, y_ + kPadding + 3, kInner - kGutter,
                   kCellStrong);
    } else {
      const Style& style = row.style == RowStyle::kSubtotal ? kCellStrong : kCell;
      if (row.style == RowStyle::kSubtotal) canvas_.rule(kLeft, y_, kInner, 0.55, 0.6);
      double x = kLeft;
      for (std::size_t i = 0; i < std::min(table.columns.size(), row.cells.size()); ++i) {
        canvas_.text(row.cells[i], x + kGutter / 2, y_ + kPadding, widths[i] - kGutter, style, table.columns[i].align);
        x += widths[i];
      }
    }
    y_ += height;
    canvas_.rule(kLeft, y_, kInner, 0.88, 0.4);
  }

  void draw_table(const Table& table) {
    const auto widths = widths_of(table);
    // A heading or a section name at the foot of a page would head nothing.
    constexpr double kCompany = 56;
    if (!fits(kCompany + 20)) break_page();
    if (!table.heading.empty()) y_ += canvas_.text(table.heading, kLeft, y_, kInner, kHeading) + 5;
    draw_table_head(table, widths);
    for (const auto& row : table.rows) {
      const double height = row_height(table, widths, row);
      if (!fits(row.style == RowStyle::kSection ? height + kCompany : height)) {
        break_page();
        draw_table_head(table, widths);
      }
      draw_row(table, widths, row, height);
    }
    y_ += 16;
  }

  void draw_totals() {
    if (report_.totals.empty()) return;
    const double width = kInner * 0.56 - kGutter / 2, x = kLeft + kInner * 0.44;
    double height = 16;
    for (const auto& [label, value] : report_.totals) height += canvas_.height_of(label, width * 0.6, kText) + 6;
    if (!fits(height)) break_page();
    for (std::size_t i = 0; i < report_.totals.size(); ++i) {
      const bool is_last = i + 1 == report_.totals.size();
      const Style& style = is_last ? kTotal : kText;
      if (is_last) {
        canvas_.rule(x, y_ + 1, width, 0.1, 1.0);
        y_ += 5;
      }
      const double left = canvas_.text(report_.totals[i].first, x, y_, width * 0.62, style);
      const double right =
          canvas_.text(report_.totals[i].second, x + width * 0.4, y_, width * 0.6, style, Align::kRight);
      y_ += std::max(left, right) + 4;
    }
    y_ += 18;
  }

  void draw_notes() {
    for (const auto& note : report_.notes) {
      const double height = canvas_.height_of(note, kInner, kNote) + 4;
      if (!fits(height)) break_page();
      canvas_.text(note, kLeft, y_, kInner, kNote);
      y_ += height;
    }
  }

  const Report& report_;
  Canvas& canvas_;
  const int pages_;  ///< 0 while they are being counted
  int page_ = 0;
  double y_ = 0;
};

Status check(const Report& report) {
  std::size_t rows = 0, longest = 0;
  bool is_utf8 = true;
  auto look = [&](const std::string& text) {
    longest = std::max(longest, text.size());
    is_utf8 &= is_valid_utf8(text);
  };
  for (const auto& text : {report.title, report.issuer, report.mark, report.footer, report.subject}) look(text);
  for (const auto& note : report.notes) look(note);
  for (const auto& pairs : {report.facts, report.totals}) {
    for (const auto& [label, value] : pairs) {
      look(label);
      look(value);
    }
  }
  for (const auto& party : report.parties) {
    look(party.title);
    for (const auto& line : party.lines) look(line);
  }
  for (const auto& table : report.tables) {
    rows += table.rows.size();
    if (table.columns.empty() ||
        std::any_of(table.columns.begin(), table.columns.end(), [](const Column& c) { return c.width < 1; })) {
      return fail(Code::kInvalidArgument, "bad_report", "a table needs columns, each at least 1 wide", "tables");
    }
    for (const auto& column : table.columns) look(column.title);
    for (const auto& row : table.rows) {
      for (const auto& cell : row.cells) look(cell);
    }
  }
  if (!is_utf8) return fail(Code::kInvalidArgument, "bad_report", "every text must be UTF-8", "report");
  if (report.parties.size() > kPartiesMax) {
    return fail(Code::kInvalidArgument, "bad_report", fmt::format("at most {} parties fit side by side", kPartiesMax),
                "parties");
  }
  if (rows > kRowsMax || longest > kCellBytesMax) {
    return fail(Code::kResourceExhausted, "report_too_large",
                fmt::format("{} rows and a text of {} bytes: at most {} and {} are printed; take the CSV instead", rows,
                            longest, kRowsMax, kCellBytesMax));
  }
  return {};
}

}  // namespace

Result<Rendered> render(const Report& report) {
  TG_TRY(check(report));
  int pages = 0;
  {
    Canvas counting(report, nullptr);
    pages = Layout(report, counting, 0).run();
    TG_TRY(counting.finish());
  }
  Rendered out;
  Canvas canvas(report, &out.bytes);
  out.pages = Layout(report, canvas, pages).run();
  TG_TRY(canvas.finish());
  return out;
}

}  // namespace tidegate::pdf
