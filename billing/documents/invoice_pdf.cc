#include "billing/documents/invoice_pdf.h"

#include <fmt/format.h>

#include <map>

#include "base/price/calendar_month.h"
#include "base/price/local_windows.h"
#include "billing/documents/amount_text.h"

namespace tidegate::billing {

namespace {

std::string meter_text(const std::string& meter) {
  if (meter == "input_cache_hit") return "Input tokens, cache hit";
  if (meter == "input_cache_miss") return "Input tokens, cache miss";
  if (meter == "output") return "Output tokens";
  return meter;
}

/// The day of an instant on the wall clock of a zone; `before_us` looks at the instant before, for ends.
std::string local_day(const std::string& tz, Wall instant) {
  const auto zone = price::load_zone(tz);
  return zone ? price::day_text(price::local_moment(*zone, instant).day) : format_rfc3339(instant).substr(0, 10);
}

std::string price_text(const LineKey& key) {
  std::string out = amount_text(Money::from_pico(Int128(key.micro_per_million) * 1'000'000), 2);
  if (key.mod_num != key.mod_den) out += fmt::format(" × {}/{}", key.mod_num, key.mod_den);
  return out;
}

std::vector<std::string> lines_of(const Party& party) {
  std::vector<std::string> out{party.name};
  for (std::size_t start = 0; start < party.address.size();) {
    const auto end = std::min(party.address.find('\n', start), party.address.size());
    out.push_back(party.address.substr(start, end - start));
    start = end + 1;
  }
  if (!party.tax_id.empty()) out.push_back("Tax ID " + party.tax_id);
  return out;
}

struct Sum {
  Int128 quantity = 0;
  Money amount;
};

class Writer {
 public:
  explicit Writer(const InvoiceContent& content) : content_(content), invoice_(content.invoice) {}

  pdf::Report write() {
    write_head();
    write_usage(LineKind::kUsage, "Usage");
    write_usage(LineKind::kCorrection, "Corrections of earlier periods");
    write_others();
    write_bands();
    write_payments();
    write_totals();
    write_notes();
    return std::move(report_);
  }

 private:
  std::string money(Money amount) const { return amount_text(amount, invoice_.decimals); }

  void write_head() {
    const bool is_numbered = !invoice_.number.empty();
    report_.title = invoice_.status == "open" ? "Preview of invoice" : "Invoice";
    report_.issuer = invoice_.seller.name;
    report_.subject = is_numbered ? "Invoice " + invoice_.number
                                  : fmt::format("{} {} {}", report_.title, invoice_.tenant_name, invoice_.month);
    report_.created = invoice_.voided.value_or(invoice_.issued.value_or(invoice_.created));
    if (invoice_.status == "void") report_.mark = "VOID";
    if (invoice_.status == "draft" || invoice_.status == "open") report_.mark = "DRAFT";
    report_.footer = is_numbered ? fmt::format("{} · {}", invoice_.seller.name, invoice_.number) : invoice_.seller.name;

    report_.facts.push_back({"Invoice number", is_numbered ? invoice_.number : "none: not issued"});
    if (invoice_.issued) report_.facts.push_back({"Issued", format_rfc3339(*invoice_.issued).substr(0, 10)});
    report_.facts.push_back(
        {"Billing period", fmt::format("{} to {}", local_day(invoice_.tz, invoice_.begin),
                                       local_day(invoice_.tz, invoice_.end - std::chrono::microseconds(1)))});
    report_.facts.push_back({"Time zone", invoice_.tz});
    report_.facts.push_back({"Account", invoice_.tenant_name});
    report_.facts.push_back({"Currency", invoice_.currency});
    if (!invoice_.credit_note.empty()) {
      report_.facts.push_back({"Credit note", invoice_.credit_note});
      report_.facts.push_back({"Voided", format_rfc3339(*invoice_.voided).substr(0, 10) + ": " + invoice_.void_reason});
    }
    report_.parties = {{"From", lines_of(invoice_.seller)}, {"Bill to", lines_of(invoice_.buyer)}};
  }

  /// Lines come ordered by project, model and band.
  void write_usage(LineKind kind, const std::string& heading) {
    pdf::Table table{heading,
                     {{"Line", 4},
                      {"Band and meter", 22},
                      {"Price list", 13},
                      {"Price per 1M", 12, pdf::Align::kRight},
                      {"Tokens", 15, pdf::Align::kRight},
                      {"Amount " + invoice_.currency, 17, pdf::Align::kRight}},
                     {}};
    std::string section, band;
    Sum in_band, all;
    int lines_in_band = 0;
    const auto end_band = [&] {
      if (lines_in_band > 0) {
        table.rows.push_back({pdf::RowStyle::kSubtotal,
                              {"", "Subtotal " + band, "", "", count_text(in_band.quantity), money(in_band.amount)}});
      }
      in_band = {};
      lines_in_band = 0;
    };
    for (const auto& row : content_.lines) {
      const LineKey& key = row.line.key;
      if (key.kind != kind) continue;
      const std::string name = fmt::format("Project {} · {}", row.project_name, key.model);
      if (name != section || key.band != band) end_band();
      if (name != section) table.rows.push_back({pdf::RowStyle::kSection, {name}});
      section = name;
      band = key.band;
      table.rows.push_back({pdf::RowStyle::kNormal,
                            {std::to_string(row.number), fmt::format("{} · {}", key.band, meter_text(key.meter)),
                             fmt::format("{} v{}", row.price_book, key.price_version), price_text(key),
                             count_text(row.line.quantity), money(row.line.amount)}});
      in_band.quantity += row.line.quantity;
      in_band.amount += row.line.amount;
      all.quantity += row.line.quantity;
      all.amount += row.line.amount;
      ++lines_in_band;
    }
    end_band();
    if (table.rows.empty()) return;
    table.rows.push_back(
        {pdf::RowStyle::kSubtotal, {"", "Total", "", "", count_text(all.quantity), money(all.amount)}});
    report_.tables.push_back(std::move(table));
  }

  void write_others() {
    pdf::Table table{
        "Adjustments and credits",
        {{"Line", 4}, {"Kind", 12}, {"Description", 40}, {"Amount " + invoice_.currency, 17, pdf::Align::kRight}},
        {}};
    for (const auto& row : content_.lines) {
      const LineKey& key = row.line.key;
      if (key.kind != LineKind::kAdjustment && key.kind != LineKind::kCredit) continue;
      const bool is_credit = key.kind == LineKind::kCredit;
      const std::string text = is_credit ? "Paid by grant " + key.description
                                         : key.source + (key.description.empty() ? "" : ": " + key.description);
      table.rows.push_back(
          {pdf::RowStyle::kNormal,
           {std::to_string(row.number), is_credit ? "Credit" : "Adjustment", text, money(row.line.amount)}});
    }
    if (!table.rows.empty()) report_.tables.push_back(std::move(table));
  }

  void write_bands() {
    std::map<std::pair<std::string, std::string>, Sum> bands;
    for (const auto& row : content_.lines) {
      if (row.line.key.project.is_nil()) continue;
      Sum& sum = bands[{row.line.key.model, row.line.key.band}];
      sum.quantity += row.line.quantity;
      sum.amount += row.line.amount;
    }
    if (bands.empty()) return;
    pdf::Table table{"Summary by model and price band",
                     {{"Model", 24},
                      {"Band", 18},
                      {"Tokens", 15, pdf::Align::kRight},
                      {"Amount " + invoice_.currency, 17, pdf::Align::kRight}},
                     {}};
    for (const auto& [key, sum] : bands) {
      table.rows.push_back(
          {pdf::RowStyle::kNormal, {key.first, key.second, count_text(sum.quantity), money(sum.amount)}});
    }
    report_.tables.push_back(std::move(table));
  }

  void write_payments() {
    constexpr std::size_t kShown = 40;
    if (content_.payments.empty()) return;
    pdf::Table table{"Payments received in the period",
                     {{"Posted (UTC)", 18}, {"Note", 34}, {"Amount " + invoice_.currency, 17, pdf::Align::kRight}},
                     {}};
    Money all;
    for (std::size_t i = 0; i < content_.payments.size(); ++i) {
      const auto& payment = content_.payments[i];
      all += payment.amount;
      if (i >= kShown) continue;
      table.rows.push_back({pdf::RowStyle::kNormal,
                            {format_rfc3339(payment.posted).substr(0, 16), payment.note, money(payment.amount)}});
    }
    table.rows.push_back(
        {pdf::RowStyle::kSubtotal, {fmt::format("{} payments", content_.payments.size()), "", money(all)}});
    report_.tables.push_back(std::move(table));
  }

  void write_totals() {
    const InvoiceTotals& totals = invoice_.totals;
    report_.totals.push_back({"Sum of the lines, exact", money(totals.subtotal_exact)});
    if (!totals.rounding.is_zero()) report_.totals.push_back({"Rounding", money(totals.rounding)});
    report_.totals.push_back({"Subtotal", money(totals.subtotal)});
    report_.totals.push_back(
        {fmt::format("{} {}", invoice_.tax_name, invoice_.tax_rate.to_string()), money(totals.tax)});
    report_.totals.push_back({"Total " + invoice_.currency, money(totals.total)});
  }

  void write_notes() {
    const std::string name = invoice_.number.empty() ? invoice_.id.to_string() : invoice_.number;
    report_.notes = {
        "Charges were drawn from the account's balance when the requests ended. What was posted in the billing period "
        "is on this "
        "invoice; requests of earlier periods that were posted in it are listed as corrections.",
        "Lines are exact. The invoice is rounded once, half to even, to the currency's smallest unit; tax is taken of "
        "the rounded "
        "subtotal and rounded once in the same way.",
        fmt::format("Every line opens to its requests: tidegate invoice requests {} --line N. Each request has a "
                    "signed receipt; check it "
                    "with: tidegate receipt verify.",
                    name)};
  }

  const InvoiceContent& content_;
  const InvoiceRow& invoice_;
  pdf::Report report_;
};

}  // namespace

pdf::Report invoice_report(const InvoiceContent& content) { return Writer(content).write(); }
Result<pdf::Rendered> invoice_pdf(const InvoiceContent& content) { return pdf::render(invoice_report(content)); }

}  // namespace tidegate::billing
