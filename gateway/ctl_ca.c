/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl_ca.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "certs/bundle_write.h"
#include "certs/ca_folder.h"
#include "certs/issuer.h"
#include "certs/pem_read.h"
#include "certs/spiffe_id.h"
#include "gateway/ctl_options.h"
#include "gateway/ctl_show.h"
#include "platform/clock.h"
#include "platform/text.h"

enum { RSA_BITS = 3072, RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192, NS_PER_MS = 1000000, TIME_MAX = 32 };

/* What the command line says, and what the verbs share. */
struct ca_work {
	const struct ctl_request *request;
	const char *root;
	OSSL_LIB_CTX *libctx;
	int64_t now; /* Unix seconds */
	FILE *out;
	struct text error;
};

/* An option's text; NULL when it wasn't given. */
static const char *
option(const struct ca_work *work, const char *name)
{
	return json_string_value(json_object_get(work->request->arguments, name));
}

static unsigned
number(const struct ca_work *work, const char *name, unsigned otherwise)
{
	const json_t *json = json_object_get(work->request->arguments, name);
	json_int_t value = json_integer_value(json);

	if (json == NULL)
		return otherwise;
	return value > UINT32_MAX ? UINT32_MAX : (unsigned)value;
}

static void
print_time(char *to, int64_t seconds)
{
	time_t time = (time_t)seconds;
	struct tm tm;

	if (gmtime_r(&time, &tm) == NULL || strftime(to, TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(to, TIME_MAX, "%" PRId64, seconds);
}

/* ROOT/TRUST-DOMAIN, the caller's to free. */
static char *
domain_folder(const struct ca_work *work, const char *trust_domain)
{
	char *folder;

	if (asprintf(&folder, "%s/%s", work->root, trust_domain) < 0)
		abort();
	return folder;
}

/* The folders of root that have a trust domain's name; sorted; the caller's to free. */
static int
list_domains(const struct ca_work *work, struct dirent ***entries)
{
	int n = scandir(work->root, entries, NULL, alphasort), kept = 0;

	for (int i = 0; i < n; i++) {
		struct dirent *entry = (*entries)[i];
		if (entry->d_name[0] != '.' && spiffe_domain_check(entry->d_name, strlen(entry->d_name)) == CERT_NONE)
			(*entries)[kept++] = entry;
		else
			free(entry);
	}
	return n < 0 ? -1 : kept;
}

/* --- init, rotate --------------------------------------------------------------------------------------------------
 */

static bool
key_type(const char *name, enum credential_key *key)
{
	static const struct {
		const char *name;
		enum credential_key key;
	} types[] = {
		{"p256", CREDENTIAL_EC_P256},
		{"p384", CREDENTIAL_EC_P384},
		{"ed25519", CREDENTIAL_ED25519},
		{"rsa", CREDENTIAL_RSA},
	};

	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		*key = types[i].key;
		if (name == NULL || strcmp(types[i].name, name) == 0)
			return true;
	}
	return false;
}

/* What is to be made; CTL_OK, or CTL_USAGE with an error. */
static int
read_spec(struct ca_work *work, struct ca_spec *spec)
{
	*spec = (struct ca_spec){
		.trust_domain = option(work, "trust-domain"),
		.rsa_bits = number(work, "rsa-bits", RSA_BITS),
		.days = number(work, "days", CA_DAYS),
		.name_constraint = json_object_get(work->request->arguments, "name-constraint") != NULL,
		.provider = option(work, "provider"),
		.key_uri = option(work, "key-uri"),
	};
	enum cert_error domain = spec->trust_domain == NULL
					 ? CERT_NONE
					 : spiffe_domain_check(spec->trust_domain, strlen(spec->trust_domain));
	if (spec->trust_domain == NULL)
		text_print(&work->error, "--trust-domain NAME is needed");
	else if (domain != CERT_NONE)
		text_print(&work->error, "--trust-domain: %s: %s", cert_error_text(domain), cert_error_meaning(domain));
	else if (spec->trust_domain[0] == '.')
		text_print(&work->error, "--trust-domain: a name that begins with a dot can't be its folder's");
	else if (!key_type(option(work, "key-type"), &spec->key))
		text_print(&work->error, "--key-type is p256, p384, ed25519 or rsa, not \"%s\"",
			   option(work, "key-type"));
	else if (spec->rsa_bits < RSA_BITS_MIN || spec->rsa_bits > RSA_BITS_MAX)
		text_print(&work->error, "--rsa-bits is %d to %d", RSA_BITS_MIN, RSA_BITS_MAX);
	else if (spec->days < 1 || spec->days > CA_DAYS_MAX)
		text_print(&work->error, "--days is 1 to %d", CA_DAYS_MAX);
	else if ((spec->provider == NULL) != (spec->key_uri == NULL))
		text_print(&work->error, "--provider and --key-uri go together");
	else if (spec->provider != NULL && option(work, "key-type") != NULL)
		text_print(&work->error, "--key-type is for a key that is made here, and the provider has one");
	else
		return CTL_OK;
	return CTL_USAGE;
}

static bool
has_ca(const struct ca_work *work, const char *folder, const char *trust_domain, struct text *error)
{
	struct ca_folder cas;
	bool has = ca_folder_load(work->libctx, folder, trust_domain, false, &cas, error) && cas.n > 0;

	if (has)
		ca_folder_free(&cas);
	return has;
}

static int
make(struct ca_work *work, bool is_first)
{
	struct text missing = {0};
	struct ca_spec spec;
	unsigned n;

	int status = read_spec(work, &spec);
	if (status != CTL_OK)
		return status;
	char *folder = domain_folder(work, spec.trust_domain);
	bool has = has_ca(work, folder, spec.trust_domain, &missing);
	status = CTL_REFUSED;
	if (is_first && !has && missing.length > 0 && access(folder, F_OK) == 0)
		text_print(&work->error, "%s",
			   missing.bytes); /* what is there can't be read: nobody knows whose it is */
	else if (is_first && has)
		text_print(&work->error, "%s: there is a CA already; \"posternctl ca rotate\" adds one", folder);
	else if (!is_first && !has)
		text_print(&work->error, "%s", missing.length > 0 ? missing.bytes : "there is no CA to rotate");
	else if (ca_folder_add(work->libctx, folder, &spec, work->now, &n, &work->error))
		status = CTL_OK;
	if (status == CTL_OK && work->request->json)
		fprintf(work->out, "{\"trust_domain\":\"%s\",\"number\":%u}\n", spec.trust_domain, n);
	else if (status == CTL_OK)
		fprintf(work->out, "%s/ca-%u: the %s CA of %s\n", folder, n, is_first ? "first" : "next",
			spec.trust_domain);
	text_free(&missing);
	free(folder);
	return status;
}

/* --- show ----------------------------------------------------------------------------------------------------------
 */

static json_t *
ca_json(const struct ca *ca, bool signs)
{
	char from[TIME_MAX], to[TIME_MAX], fingerprint[2 * EVP_MAX_MD_SIZE + 1] = "";
	unsigned char digest[EVP_MAX_MD_SIZE];
	enum credential_key kind = CREDENTIAL_EC_P256;
	unsigned length = 0, bits = 0;

	key_kind(X509_get0_pubkey(ca->certificate), &kind, &bits); /* it passed when the folder was loaded */
	X509_digest(ca->certificate, EVP_sha256(), digest, &length);
	for (unsigned i = 0; i < length; i++)
		snprintf(fingerprint + (size_t)2 * i, 3, "%02x", digest[i]);
	print_time(from, ca->not_before + CA_BACKDATE_S);
	print_time(to, ca->not_after);
	return json_pack("{s:i, s:s, s:i, s:s, s:b, s:s, s:s, s:s}", "number", (int)ca->number, "key",
			 credential_key_text(kind), "bits", (int)bits, "key_in",
			 ca->key == NULL ? "none" : (ca->provider.libctx != NULL ? "provider" : "file"), "signs",
			 (int)signs, "made", from, "not_after", to, "sha256", fingerprint);
}

static bool
show_domain(struct ca_work *work, const char *trust_domain, json_t *list)
{
	char *folder = domain_folder(work, trust_domain);
	struct ca_folder cas;

	bool loaded = ca_folder_load(work->libctx, folder, trust_domain, true, &cas, &work->error);
	free(folder);
	if (!loaded)
		return false;
	const struct ca *signer = ca_folder_signer(&cas, work->now, ISSUER_LEAD_S);
	for (unsigned i = 0; i < cas.n; i++) {
		json_t *json = ca_json(&cas.cas[i], &cas.cas[i] == signer);
		json_object_set_new(json, "trust_domain", json_string(trust_domain));
		json_array_append_new(list, json);
	}
	ca_folder_free(&cas);
	return true;
}

static void
print_list(const json_t *list, FILE *out)
{
	size_t i;
	json_t *json;

	fprintf(out, "%-32s %3s  %-9s %-8s %-5s  %-20s  %-20s  %s\n", "TRUST DOMAIN", "N", "KEY", "IN", "SIGNS", "MADE",
		"EXPIRES", "SHA-256");
	json_array_foreach(list, i, json)
		fprintf(out, "%-32s %3" JSON_INTEGER_FORMAT "  %-9s %-8s %-5s  %-20s  %-20s  %s\n",
			ctl_text(json, "trust_domain"), json_integer_value(json_object_get(json, "number")),
			ctl_text(json, "key"), ctl_text(json, "key_in"),
			json_is_true(json_object_get(json, "signs")) ? "yes" : "no", ctl_text(json, "made"),
			ctl_text(json, "not_after"), ctl_text(json, "sha256"));
}

static int
show(struct ca_work *work)
{
	const char *trust_domain = option(work, "trust-domain");
	struct dirent **entries = NULL;
	json_t *list = json_array();
	bool shown = true;
	int n = 0;

	if (trust_domain != NULL) {
		shown = show_domain(work, trust_domain, list);
	} else {
		n = list_domains(work, &entries);
		if (n < 0)
			text_print(&work->error, "%s: %s", work->root, strerror(errno));
		shown = n >= 0;
	}
	for (int i = 0; i < n; i++) {
		shown = shown && show_domain(work, entries[i]->d_name, list);
		free(entries[i]);
	}
	free(entries);
	if (shown && work->request->json) {
		json_dumpf(list, work->out, JSON_INDENT(2));
		fputs("\n", work->out);
	} else if (shown) {
		print_list(list, work->out);
	}
	json_decref(list);
	return shown ? CTL_OK : CTL_REFUSED;
}

/* --- bundle --------------------------------------------------------------------------------------------------------
 */

/* The trust domain that was named, or the only one there is; the caller's to free. */
static char *
pick_domain(struct ca_work *work)
{
	const char *trust_domain = option(work, "trust-domain");
	struct dirent **entries = NULL;
	char *picked = NULL;

	if (trust_domain != NULL)
		return strdup(trust_domain);
	int n = list_domains(work, &entries);
	if (n < 0)
		text_print(&work->error, "%s: %s", work->root, strerror(errno));
	else if (n != 1)
		text_print(&work->error, "%s: %d trust domains; --trust-domain says which", work->root, n);
	else
		picked = strdup(entries[0]->d_name);
	for (int i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
	return picked;
}

static int
bundle(struct ca_work *work)
{
	const char *format = option(work, "format");
	X509 *authorities[CA_FOLDER_MAX];
	struct text text = {0};
	struct ca_folder cas;

	if (format != NULL && strcmp(format, "jwks") != 0 && strcmp(format, "pem") != 0) {
		text_print(&work->error, "--format is jwks or pem, not \"%s\"", format);
		return CTL_USAGE;
	}
	char *trust_domain = pick_domain(work);
	if (trust_domain == NULL)
		return CTL_REFUSED;
	char *folder = domain_folder(work, trust_domain);
	bool done = ca_folder_load(work->libctx, folder, trust_domain, false, &cas, &work->error);
	if (done && cas.n == 0) {
		text_print(&work->error, "%s: no CA in it", folder);
		done = false;
	}
	if (done) {
		for (unsigned i = 0; i < cas.n; i++)
			authorities[i] = cas.cas[i].certificate;
		done = format != NULL && strcmp(format, "pem") == 0
			       ? bundle_write_pem(authorities, cas.n, &text)
			       : bundle_write_jwks(authorities, cas.n, (uint64_t)(cas.changed_ns / NS_PER_MS),
						   ISSUER_REFRESH_S, &text);
		if (done)
			fputs(text.bytes, work->out);
		else
			text_print(&work->error, "%s: the bundle can't be written", folder);
		ca_folder_free(&cas);
	}
	text_free(&text);
	free(folder);
	free(trust_domain);
	return done ? CTL_OK : CTL_REFUSED;
}

int
ctl_ca(const struct ctl_request *request, FILE *out, FILE *errors)
{
	const char *verb = request->files[0], *root = json_string_value(json_object_get(request->arguments, "dir"));
	struct ca_work work = {
		.request = request,
		.root = root != NULL ? root : CTL_CA_DIR,
		.libctx = OSSL_LIB_CTX_new(),
		.now = (int64_t)(clock_wall_ms() / 1000),
		.out = out,
	};
	int status = CTL_USAGE;

	if (work.libctx == NULL)
		abort();
	if (request->n_files > 1)
		text_print(&work.error, "ca %s takes no \"%s\"", verb, request->files[1]);
	else if (strcmp(verb, "init") == 0 || strcmp(verb, "rotate") == 0)
		status = make(&work, verb[0] == 'i');
	else if (strcmp(verb, "show") == 0)
		status = show(&work);
	else if (strcmp(verb, "bundle") == 0)
		status = bundle(&work);
	else
		text_print(&work.error, "ca init, rotate, show or bundle, not \"%s\"", verb);
	if (work.error.length > 0)
		fprintf(errors, "posternctl: %s\n", work.error.bytes);
	text_free(&work.error);
	OSSL_LIB_CTX_free(work.libctx);
	return status;
}
