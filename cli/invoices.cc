#include <fmt/format.h>

#include <fstream>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/message_json.h"
#include "cli/text_table.h"
#include "cli/time_text.h"

namespace tidegate::cli {

namespace {

using Statements = v1::Statements::Stub;

Status show_invoice(const Arguments& arguments, const v1::Invoice& invoice) {
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(invoice));
    return {};
  }
  fmt::print("invoice {} ({}) of {} for {}: {}\n", invoice.number().empty() ? "without number" : invoice.number(),
             invoice.invoice_id(), invoice.tenant_name(), invoice.month(), invoice.status());
  fmt::print("  exact {}, rounding {}, subtotal {}, {} {} {}, total {} {}\n", invoice.subtotal_exact(),
             invoice.rounding(), invoice.subtotal(), invoice.tax_name(), invoice.tax_rate(), invoice.tax(),
             invoice.total(), invoice.currency());
  if (!invoice.credit_note().empty())
    fmt::print("  taken back by {}: {}\n", invoice.credit_note(), invoice.void_reason());
  return {};
}

void print_invoices(const google::protobuf::RepeatedPtrField<v1::Invoice>& invoices) {
  TextTable table({"NUMBER", "TENANT", "MONTH", "STATUS", "SUBTOTAL", "TAX", "TOTAL", "INVOICE"});
  for (const auto& invoice : invoices) {
    table.add({invoice.number().empty() ? "-" : invoice.number(), invoice.tenant_name(), invoice.month(),
               invoice.status(), invoice.subtotal(), invoice.tax(), invoice.total() + " " + invoice.currency(),
               invoice.invoice_id()});
  }
  fmt::print("{}", table.render());
}

Status invoice_close(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::CloseInvoicesRequest request;
  request.set_tenant(arguments.option("tenant"));
  request.set_is_draft(arguments.has("draft"));
  TG_ASSIGN(const auto grace_s, arguments.integer_option("grace-s", -1));
  request.set_grace_us(grace_s < 0 ? -1 : grace_s * 1'000'000);
  v1::CloseInvoicesResponse all;
  bool has_more = true;
  while (has_more) {
    TG_ASSIGN(const auto closed, connection.call(&Statements::CloseInvoices, connection.statements(), request));
    has_more = closed.has_more();
    all.MergeFrom(closed);
  }
  all.set_has_more(false);
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(all));
    return {};
  }
  google::protobuf::RepeatedPtrField<v1::Invoice> made;
  for (const auto& month : all.closed()) {
    if (month.has_invoice()) *made.Add() = month.invoice();
  }
  if (!made.empty()) print_invoices(made);
  fmt::print("{} months closed, {} invoices made\n", all.closed_size(), made.size());
  return {};
}

Status invoice_list(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListInvoicesRequest request;
  request.set_tenant(arguments.option("tenant"));
  TG_ASSIGN(const auto limit, arguments.integer_option("limit", 100));
  request.mutable_page()->set_limit(static_cast<std::int32_t>(limit));
  request.mutable_page()->set_after(arguments.option("after"));
  TG_ASSIGN(const auto list, connection.call(&Statements::ListInvoices, connection.statements(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
  } else {
    print_invoices(list.invoices());
  }
  return {};
}

Status show_detail(const Arguments& arguments, const v1::InvoiceDetail& detail) {
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(detail));
    return {};
  }
  TextTable table({"LINE", "KIND", "PROJECT", "MODEL", "BAND", "METER", "VERSION", "MICRO/1M", "TOKENS", "AMOUNT"});
  for (const auto& line : detail.lines()) {
    const bool is_of_requests = !line.project_id().empty();
    table.add({std::to_string(line.line()), line.kind(), is_of_requests ? line.project_name() : line.source(),
               is_of_requests ? line.model() : line.description(), line.band(), line.meter(),
               is_of_requests ? std::to_string(line.price_version()) : "", std::to_string(line.micro_per_million()),
               line.quantity(), line.amount()});
  }
  fmt::print("{}", table.render());
  return show_invoice(arguments, detail.invoice());
}

Status invoice_show(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::GetInvoiceRequest request;
  TG_ASSIGN(*request.mutable_invoice(), arguments.word(0, "INVOICE"));
  TG_ASSIGN(const auto detail, connection.call(&Statements::GetInvoice, connection.statements(), request));
  return show_detail(arguments, detail);
}

Status invoice_preview(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::PreviewInvoiceRequest request;
  TG_ASSIGN(*request.mutable_tenant(), arguments.word(0, "TENANT"));
  TG_ASSIGN(const auto detail, connection.call(&Statements::PreviewInvoice, connection.statements(), request));
  return show_detail(arguments, detail);
}

Status invoice_issue(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::IssueInvoiceRequest request;
  TG_ASSIGN(*request.mutable_invoice(), arguments.word(0, "INVOICE"));
  TG_ASSIGN(const auto invoice, connection.call(&Statements::IssueInvoice, connection.statements(), request));
  return show_invoice(arguments, invoice);
}

Status invoice_void(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::VoidInvoiceRequest request;
  TG_ASSIGN(*request.mutable_invoice(), arguments.word(0, "INVOICE"));
  TG_ASSIGN(*request.mutable_reason(), arguments.required_option("reason"));
  TG_ASSIGN(const auto invoice, connection.call(&Statements::VoidInvoice, connection.statements(), request));
  return show_invoice(arguments, invoice);
}

Status invoice_replace(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ReplaceInvoiceRequest request;
  TG_ASSIGN(*request.mutable_invoice(), arguments.word(0, "INVOICE"));
  request.set_is_draft(arguments.has("draft"));
  TG_ASSIGN(const auto invoice, connection.call(&Statements::ReplaceInvoice, connection.statements(), request));
  return show_invoice(arguments, invoice);
}

Status invoice_requests(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ListLineRequestsRequest request;
  TG_ASSIGN(*request.mutable_invoice(), arguments.word(0, "INVOICE"));
  TG_TRY(arguments.required_option("line"));
  TG_ASSIGN(const auto line, arguments.integer_option("line", 0));
  request.set_line(static_cast<std::int32_t>(line));
  TG_ASSIGN(const auto limit, arguments.integer_option("limit", 20));
  request.mutable_page()->set_limit(static_cast<std::int32_t>(limit));
  request.mutable_page()->set_after(arguments.option("after"));
  TG_ASSIGN(const auto list, connection.call(&Statements::ListLineRequests, connection.statements(), request));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(list));
    return {};
  }
  TextTable table({"COMPLETED", "REQUEST", "TOKENS", "AMOUNT", "LEDGER"});
  for (const auto& row : list.requests()) {
    table.add({time_text(row.completed_us()), row.request_id(), std::to_string(row.quantity()), row.amount(),
               row.ledger_tx()});
  }
  fmt::print("{}", table.render());
  return {};
}

/// "-" is standard output.
Status write_file(const std::string& path, const std::string& content) {
  if (path == "-") {
    std::fwrite(content.data(), 1, content.size(), stdout);
    return {};
  }
  std::ofstream out(path, std::ios::binary);
  out << content;
  out.close();
  if (out) return {};
  return fail(Code::kInternal, "file_unwritable", fmt::format("cannot write '{}'", path), "out");
}

Status invoice_document(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::GetInvoiceDocumentRequest request;
  TG_ASSIGN(*request.mutable_invoice(), arguments.word(0, "INVOICE"));
  const std::string format = arguments.option("format", "pdf");
  if (format == "pdf") {
    request.set_format(v1::DOCUMENT_FORMAT_PDF);
  } else if (format == "csv") {
    request.set_format(v1::DOCUMENT_FORMAT_CSV);
  } else if (format == "focus") {
    request.set_format(v1::DOCUMENT_FORMAT_FOCUS);
  } else {
    return fail(Code::kInvalidArgument, "bad_usage", "--format is pdf, csv or focus", "format");
  }
  TG_ASSIGN(const auto document, connection.call(&Statements::GetInvoiceDocument, connection.statements(), request));
  const std::string path = arguments.option("out", document.file_name());
  TG_TRY(write_file(path, document.content()));
  if (path != "-") fmt::print("wrote {} ({} bytes, {})\n", path, document.content().size(), document.media_type());
  return {};
}

Status invoice_profile(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  TG_ASSIGN(const auto tenant, arguments.word(0, "TENANT"));
  v1::GetBillingProfileRequest get;
  get.set_tenant(tenant);
  TG_ASSIGN(v1::BillingProfile profile, connection.call(&Statements::GetBillingProfile, connection.statements(), get));
  bool is_change = false;
  const auto change = [&](const char* option, std::string* member) {
    if (!arguments.has(option)) return;
    *member = arguments.option(option);
    is_change = true;
  };
  change("legal-name", profile.mutable_legal_name());
  change("address", profile.mutable_address());
  change("tax-id", profile.mutable_tax_id());
  change("tax-name", profile.mutable_tax_name());
  change("tax-rate", profile.mutable_tax_rate());
  change("issuer", profile.mutable_issuer());
  if (is_change) {
    TG_ASSIGN(profile, connection.call(&Statements::SaveBillingProfile, connection.statements(), profile));
  }
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(profile));
    return {};
  }
  fmt::print("{} is invoiced as \"{}\" by {}, {} {}, tax id {}\n{}\n", profile.tenant(), profile.legal_name(),
             profile.issuer(), profile.tax_name(), profile.tax_rate(),
             profile.tax_id().empty() ? "none" : profile.tax_id(), profile.address());
  return {};
}

Status invoice_issuer(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::Issuer issuer;
  issuer.set_issuer(arguments.option("issuer"));
  TG_ASSIGN(*issuer.mutable_legal_name(), arguments.required_option("legal-name"));
  issuer.set_address(arguments.option("address"));
  issuer.set_tax_id(arguments.option("tax-id"));
  issuer.set_prefix(arguments.option("prefix"));
  issuer.set_credit_prefix(arguments.option("credit-prefix"));
  TG_ASSIGN(const auto saved, connection.call(&Statements::SaveIssuer, connection.statements(), issuer));
  if (arguments.wants_json()) {
    fmt::print("{}\n", message_json(saved));
  } else {
    fmt::print("issuer {} is \"{}\", numbers {}-YEAR-N and {}-YEAR-N\n", saved.issuer(), saved.legal_name(),
               saved.prefix(), saved.credit_prefix());
  }
  return {};
}

Status focus_export(const Arguments& arguments) {
  TG_ASSIGN(Connection connection, Connection::open(arguments));
  v1::ExportFocusRequest request;
  request.set_tenant(arguments.option("tenant"));
  TG_ASSIGN(const auto from, arguments.instant_option("from"));
  TG_ASSIGN(const auto to, arguments.instant_option("to"));
  request.set_from_us(from);
  request.set_to_us(to);
  std::string all;
  int invoices = 0;
  while (true) {
    TG_ASSIGN(const auto part, connection.call(&Statements::ExportFocus, connection.statements(), request));
    all += part.csv();
    if (part.invoice().empty()) break;
    ++invoices;
    request.set_after(part.invoice());
  }
  const std::string path = arguments.option("out", "-");
  TG_TRY(write_file(path, all));
  if (path == "-") return {};
  if (arguments.wants_json()) {
    fmt::print("{{\"file\":\"{}\",\"invoices\":{},\"bytes\":{}}}\n", path, invoices, all.size());
  } else {
    fmt::print("wrote {}: {} invoices, {} bytes\n", path, invoices, all.size());
  }
  return {};
}

}  // namespace

std::vector<Command> invoice_commands() {
  return {
      {"invoice list",
       "List invoices, newest first.",
       "[--tenant TENANT] [--limit N] [--after INVOICE]",
       "  tidegate invoice list --tenant acme\n",
       {"tenant", "limit", "after"},
       {},
       invoice_list},
      {"invoice show",
       "Show an invoice and its lines.",
       "INVOICE",
       "  tidegate invoice show TG-2026-000001\n",
       {},
       {},
       invoice_show},
      {"invoice preview",
       "What a tenant's open month would be invoiced now.",
       "TENANT",
       "  tidegate invoice preview acme\n",
       {},
       {},
       invoice_preview},
      {"invoice requests",
       "The requests behind a line of an invoice; they sum to it exactly.",
       "INVOICE --line N [--limit N] [--after REQUEST]",
       "  tidegate invoice requests TG-2026-000001 --line 3\n",
       {"line", "limit", "after"},
       {},
       invoice_requests},
      {"invoice document",
       "Write an invoice as PDF, as CSV of its lines by day and key, or as FOCUS 1.2 rows.",
       "INVOICE [--format pdf|csv|focus] [--out FILE]",
       "  tidegate invoice document TG-2026-000001\n"
       "  tidegate invoice document TG-2026-000001 --format csv --out -\n",
       {"format", "out"},
       {},
       invoice_document},
      {"invoice close",
       "Close the months that have ended and issue their invoices; again changes nothing.",
       "[--tenant TENANT] [--draft] [--grace-s SECONDS]",
       "  tidegate invoice close\n"
       "  tidegate invoice close --tenant acme --draft --grace-s 0\n",
       {"tenant", "grace-s"},
       {"draft"},
       invoice_close},
      {"invoice issue",
       "Give a draft its number.",
       "INVOICE",
       "  tidegate invoice issue 01956a3e-7c00-7000-8000-000000000000\n",
       {},
       {},
       invoice_issue},
      {"invoice void",
       "Take an invoice back: it stays, a credit note reverses it.",
       "INVOICE --reason TEXT",
       "  tidegate invoice void TG-2026-000001 --reason 'wrong address'\n",
       {"reason"},
       {},
       invoice_void},
      {"invoice replace",
       "A new invoice for the period of a void one, with today's billing profile.",
       "INVOICE [--draft]",
       "  tidegate invoice replace TG-2026-000001\n",
       {},
       {"draft"},
       invoice_replace},
      {"invoice profile",
       "Show or change whom a tenant's invoices address, and their tax.",
       "TENANT [--legal-name TEXT] [--address TEXT] [--tax-id TEXT] [--tax-name TEXT] [--tax-rate RATE] [--issuer "
       "ISSUER]",
       "  tidegate invoice profile acme --legal-name 'Acme GmbH' --tax-name VAT --tax-rate 19%\n",
       {"legal-name", "address", "tax-id", "tax-name", "tax-rate", "issuer"},
       {},
       invoice_profile},
      {"invoice issuer",
       "Set who invoices, and the prefixes of its numbers.",
       "--legal-name TEXT [--issuer ID] [--address TEXT] [--tax-id TEXT] [--prefix P] [--credit-prefix P]",
       "  tidegate invoice issuer --legal-name 'Tidegate Ltd' --prefix TG --credit-prefix TG-CR\n",
       {"issuer", "legal-name", "address", "tax-id", "prefix", "credit-prefix"},
       {},
       invoice_issuer},
      {"focus export",
       "Write issued invoices as FOCUS 1.2 CSV; BilledCost sums to each invoice's total.",
       "[--tenant TENANT] [--from INSTANT] [--to INSTANT] [--out FILE]",
       "  tidegate focus export --tenant acme --out acme-focus.csv\n"
       "  tidegate focus export --from 2026-11-01T00:00:00Z > all.csv\n",
       {"tenant", "from", "to", "out"},
       {},
       focus_export},
  };
}

}  // namespace tidegate::cli
