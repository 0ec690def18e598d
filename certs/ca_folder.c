/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/ca_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "certs/file_read.h"
#include "certs/pem_read.h"
#include "platform/text.h"

enum { FILE_NAME = 32, URI_FILE_MAX = 8192, PROVIDER_NAME_MAX = 64 };

static const char *
file_name(char *name, unsigned number, const char *suffix)
{
	snprintf(name, FILE_NAME, "ca-%u.%s", number, suffix);
	return name;
}

/* The N of a file's name; 0 for other files. */
static unsigned
file_number(const char *name, const char *suffix)
{
	unsigned number;
	int end = 0;
	char again[FILE_NAME];

	if (sscanf(name, "ca-%6u.%n", &number, &end) != 1 || end == 0 || strcmp(name + end, suffix) != 0)
		return 0;
	/* "ca-01.crt" and "ca-+1.crt" aren't names that we give. */
	return strcmp(file_name(again, number, suffix), name) == 0 ? number : 0;
}

static int
compare_numbers(const void *a, const void *b)
{
	unsigned left = *(const unsigned *)a, right = *(const unsigned *)b;
	return left < right ? -1 : left > right;
}

/* The numbers of the certificates in the folder, sorted, at most max; returns how many there are. *greatest: of all of
 * its files. -1 with errno set. */
static int
list_numbers(const char *directory, unsigned *numbers, unsigned max, unsigned *greatest)
{
	static const char *const suffixes[] = {"crt", "key", "uri"};
	DIR *folder = opendir(directory);
	const struct dirent *entry;
	unsigned n = 0;

	*greatest = 0;
	if (folder == NULL)
		return -1;
	while ((entry = readdir(folder)) != NULL) {
		for (unsigned i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
			unsigned number = file_number(entry->d_name, suffixes[i]);
			if (number > *greatest)
				*greatest = number;
			if (number != 0 && i == 0 && n++ < max)
				numbers[n - 1] = number;
		}
	}
	closedir(folder);
	if (n > 0 && max > 0)
		qsort(numbers, n < max ? n : max, sizeof(numbers[0]), compare_numbers);
	return (int)n;
}

int64_t
ca_folder_changed_ns(const char *directory)
{
	struct stat status;

	return stat(directory, &status) != 0 ? 0 : (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
}

/* --- keys that a provider holds ------------------------------------------------------------------------------------
 */

/* The first private key that the URI opens. */
static EVP_PKEY *
store_key(OSSL_LIB_CTX *libctx, const char *uri)
{
	EVP_PKEY *key = NULL;

	OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, libctx, NULL, NULL, NULL, NULL, NULL, NULL);
	if (store == NULL)
		return NULL;
	OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY);
	while (key == NULL && !OSSL_STORE_eof(store)) {
		OSSL_STORE_INFO *info = OSSL_STORE_load(store);
		if (info != NULL && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
			key = OSSL_STORE_INFO_get1_PKEY(info);
		OSSL_STORE_INFO_free(info);
		if (info == NULL && OSSL_STORE_error(store))
			break;
	}
	OSSL_STORE_close(store);
	return key;
}

/* A context for the provider alone, and the key in it. There the provider comes first: OpenSSL would else move the
 * key's public half to the default provider and miss the private one. What isn't done with the key is done elsewhere.
 */
static EVP_PKEY *
provider_key(const char *name, const char *uri, struct ca_provider *provider, enum credential_error *error)
{
	char preference[PROVIDER_NAME_MAX + sizeof("?provider=")];
	EVP_PKEY *key = NULL;

	ERR_set_mark();
	*error = CREDENTIAL_PROVIDER;
	*provider = (struct ca_provider){.libctx = OSSL_LIB_CTX_new()};
	snprintf(preference, sizeof(preference), "?provider=%s", name);
	/* Once one is loaded by name, the default provider no longer comes by itself. */
	if (provider->libctx != NULL && strlen(name) <= PROVIDER_NAME_MAX &&
	    (provider->basis = OSSL_PROVIDER_load(provider->libctx, "default")) != NULL &&
	    (provider->holder = OSSL_PROVIDER_load(provider->libctx, name)) != NULL &&
	    EVP_set_default_properties(provider->libctx, preference)) {
		*error = CREDENTIAL_KEY_UNREADABLE;
		key = store_key(provider->libctx, uri);
	}
	if (key == NULL)
		ca_provider_close(provider);
	ERR_pop_to_mark();
	if (key != NULL)
		*error = CREDENTIAL_NONE;
	return key;
}

/* --- reading -------------------------------------------------------------------------------------------------------
 */

static EVP_PKEY *
load_key_file(OSSL_LIB_CTX *libctx, int fd, unsigned number, enum credential_error *error)
{
	struct secret pem;
	struct stat status;
	char name[FILE_NAME];
	EVP_PKEY *key = NULL;

	int failed = file_read_at(fd, file_name(name, number, "key"), CREDENTIAL_FILE_MAX, &pem, &status);
	if (failed != 0) {
		*error = failed == ENOENT ? CREDENTIAL_NONE : CREDENTIAL_KEY_UNREADABLE;
		return NULL;
	}
	if (!file_is_private(&status, S_IRWXG | S_IRWXO))
		*error = CREDENTIAL_KEY_EXPOSED;
	else
		key = pem_read_key(libctx, (const char *)pem.bytes, pem.length, error);
	secret_free(&pem);
	return key;
}

static EVP_PKEY *
load_key_uri(int fd, unsigned number, struct ca_provider *provider, enum credential_error *error)
{
	struct secret content;
	char name[FILE_NAME];
	EVP_PKEY *key = NULL;

	int failed = file_read_at(fd, file_name(name, number, "uri"), URI_FILE_MAX, &content, NULL);
	if (failed != 0) {
		*error = failed == ENOENT ? CREDENTIAL_NONE : CREDENTIAL_KEY_UNREADABLE;
		return NULL;
	}
	char *save, *lines = (char *)content.bytes; /* there is a zero behind the content */
	const char *holder = strtok_r(lines, "\n", &save), *uri = strtok_r(NULL, "\n", &save);
	*error = CREDENTIAL_KEY_UNREADABLE;
	if (uri != NULL)
		key = provider_key(holder, uri, provider, error);
	secret_free(&content);
	return key;
}

static X509 *
load_certificate(OSSL_LIB_CTX *libctx, int fd, unsigned number, enum credential_error *error)
{
	STACK_OF(X509) *stack;
	X509 *certificate = NULL;
	struct secret pem;
	char name[FILE_NAME];

	*error = CREDENTIAL_CERT_UNREADABLE;
	if (file_read_at(fd, file_name(name, number, "crt"), CREDENTIAL_FILE_MAX, &pem, NULL) != 0)
		return NULL;
	stack = pem_read_certificates(libctx, (const char *)pem.bytes, pem.length, 1, CREDENTIAL_CERT_MALFORMED,
				      CREDENTIAL_CA_MALFORMED, error);
	if (stack != NULL && (certificate = sk_X509_shift(stack)) == NULL)
		*error = CREDENTIAL_CHAIN_EMPTY;
	sk_X509_pop_free(stack, X509_free);
	secret_free(&pem);
	return certificate;
}

static enum credential_error
load_ca(OSSL_LIB_CTX *libctx, int fd, unsigned number, const char *trust_domain, bool with_keys, struct ca *ca)
{
	struct ca_provider provider = {0};
	enum credential_error error;
	EVP_PKEY *key = NULL;

	X509 *certificate = load_certificate(libctx, fd, number, &error);
	if (certificate != NULL && with_keys) {
		key = load_key_file(libctx, fd, number, &error);
		if (key == NULL && error == CREDENTIAL_NONE)
			key = load_key_uri(fd, number, &provider, &error);
	}
	if (error == CREDENTIAL_NONE)
		error = ca_begin(ca, certificate, key, trust_domain);
	if (error == CREDENTIAL_NONE) {
		ca->number = number;
		ca->provider = provider;
		return CREDENTIAL_NONE;
	}
	X509_free(certificate);
	EVP_PKEY_free(key);
	ca_provider_close(&provider);
	return error;
}

bool
ca_folder_load(OSSL_LIB_CTX *libctx, const char *directory, const char *trust_domain, bool with_keys,
	       struct ca_folder *folder, struct text *message)
{
	unsigned numbers[CA_FOLDER_MAX], greatest;

	*folder = (struct ca_folder){.changed_ns = ca_folder_changed_ns(directory)};
	int n = list_numbers(directory, numbers, CA_FOLDER_MAX, &greatest);
	int fd = n < 0 ? -1 : open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		text_print(message, "%s: %s", directory, strerror(errno));
		return false;
	}
	if (n > CA_FOLDER_MAX) {
		text_print(message, "%s: more than %d CAs", directory, CA_FOLDER_MAX);
		close(fd);
		return false;
	}
	for (; folder->n < (unsigned)n; folder->n++) {
		enum credential_error error =
			load_ca(libctx, fd, numbers[folder->n], trust_domain, with_keys, &folder->cas[folder->n]);
		if (error == CREDENTIAL_NONE)
			continue;
		text_print(message, "%s/ca-%u: %s: %s", directory, numbers[folder->n], credential_error_text(error),
			   credential_error_meaning(error));
		close(fd);
		ca_folder_free(folder);
		return false;
	}
	close(fd);
	return true;
}

void
ca_folder_free(struct ca_folder *folder)
{
	for (unsigned i = 0; i < folder->n; i++)
		ca_end(&folder->cas[i]);
	*folder = (struct ca_folder){0};
}

const struct ca *
ca_folder_signer(const struct ca_folder *folder, int64_t now, int64_t lead_s)
{
	const struct ca *oldest = NULL, *newest = NULL;

	for (unsigned i = 0; i < folder->n; i++) {
		const struct ca *ca = &folder->cas[i];
		if (ca->key == NULL || ca->not_before > now || ca->not_after - now < CA_SIGN_MIN_S)
			continue;
		if (oldest == NULL)
			oldest = ca;
		if (ca->not_before + CA_BACKDATE_S + lead_s <= now)
			newest = ca;
	}
	return newest != NULL ? newest : oldest;
}

/* --- making --------------------------------------------------------------------------------------------------------
 */

/* A new file, whole and on disk, or none. */
static bool
write_new(int folder_fd, const char *name, mode_t mode, const void *bytes, size_t length)
{
	int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0)
		return false;
	bool done = fchmod(fd, mode) == 0; /* whatever the umask is */
	for (size_t at = 0; done && at < length;) {
		ssize_t n = write(fd, (const char *)bytes + at, length - at);
		if (n > 0)
			at += (size_t)n;
		else if (n == 0 || errno != EINTR)
			done = false;
	}
	done = done && fsync(fd) == 0;
	int error = errno;
	close(fd);
	if (!done)
		unlinkat(folder_fd, name, 0);
	errno = error;
	return done;
}

static bool
write_key(int fd, unsigned number, EVP_PKEY *key)
{
	char name[FILE_NAME];
	char *pem;
	BIO *bio = BIO_new(BIO_s_secmem());
	bool done = bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);

	if (done) {
		long length = BIO_get_mem_data(bio, &pem);
		done = write_new(fd, file_name(name, number, "key"), S_IRUSR | S_IWUSR, pem, (size_t)length);
		OPENSSL_cleanse(pem, (size_t)length);
	} else {
		errno = ENOMEM;
	}
	BIO_free(bio);
	return done;
}

static bool
write_uri(int fd, unsigned number, const struct ca_spec *spec)
{
	char name[FILE_NAME];
	struct text lines = {0};

	text_print(&lines, "%s\n%s\n", spec->provider, spec->key_uri);
	bool done = write_new(fd, file_name(name, number, "uri"), S_IRUSR | S_IWUSR, lines.bytes, lines.length);
	text_free(&lines);
	return done;
}

/* Under another name first: the folder's readers take "ca-N.crt" for whole. */
static bool
write_certificate(int fd, unsigned number, X509 *certificate)
{
	char name[FILE_NAME], draft[FILE_NAME];
	char *pem;
	BIO *bio = BIO_new(BIO_s_mem());
	bool done = bio != NULL && PEM_write_bio_X509(bio, certificate);

	file_name(name, number, "crt");
	file_name(draft, number, "new");
	if (done) {
		long length = BIO_get_mem_data(bio, &pem);
		done = write_new(fd, draft, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH, pem, (size_t)length);
	}
	BIO_free(bio);
	if (!done)
		return false;
	if (renameat2(fd, draft, fd, name, RENAME_NOREPLACE) == 0)
		return true;
	int error = errno;
	unlinkat(fd, draft, 0);
	errno = error;
	return false;
}

static bool
make_folder(const char *directory)
{
	char *parent = strdup(directory);
	char *slash = parent == NULL ? NULL : strrchr(parent, '/');

	if (slash != NULL && slash != parent) {
		*slash = '\0';
		mkdir(parent, S_IRWXU); /* when it can't be made, the folder in it can't either */
	}
	free(parent);
	return mkdir(directory, S_IRWXU) == 0 || errno == EEXIST;
}

/* The key that the CA is to have: generated, or the provider's, and then in a context of its own. */
static EVP_PKEY *
obtain_key(OSSL_LIB_CTX *libctx, const struct ca_spec *spec, struct ca_provider *provider, enum credential_error *error)
{
	*error = CREDENTIAL_SIGNING;
	return spec->provider != NULL ? provider_key(spec->provider, spec->key_uri, provider, error)
				      : key_generate(libctx, spec->key, spec->rsa_bits);
}

bool
ca_folder_add(OSSL_LIB_CTX *libctx, const char *directory, const struct ca_spec *spec, int64_t now, unsigned *number,
	      struct text *message)
{
	struct ca_provider provider = {0};
	enum credential_error error;
	X509 *certificate = NULL;
	EVP_PKEY *key = NULL;
	char name[FILE_NAME];
	unsigned greatest;
	bool done = false;
	int fd = -1;

	if (!make_folder(directory) || list_numbers(directory, NULL, 0, &greatest) < 0 ||
	    (fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		text_print(message, "%s: %s", directory, strerror(errno));
		return false;
	}
	*number = greatest + 1;
	key = obtain_key(libctx, spec, &provider, &error);
	if (key != NULL)
		certificate = ca_certificate_make(provider.libctx != NULL ? provider.libctx : libctx, key,
						  spec->trust_domain, spec->days, spec->name_constraint, now);
	if (certificate == NULL || *number > CA_NUMBER_MAX) {
		error = key == NULL ? error : CREDENTIAL_SIGNING;
		text_print(message, "%s: %s: %s", directory, credential_error_text(error),
			   credential_error_meaning(error));
		goto Exit;
	}
	if (!(spec->provider != NULL ? write_uri(fd, *number, spec) : write_key(fd, *number, key))) {
		text_print(message, "%s/ca-%u: %s", directory, *number, strerror(errno));
		goto Exit;
	}
	if (!write_certificate(fd, *number, certificate)) {
		text_print(message, "%s/ca-%u.crt: %s", directory, *number, strerror(errno));
		unlinkat(fd, file_name(name, *number, spec->provider != NULL ? "uri" : "key"), 0);
		goto Exit;
	}
	done = fsync(fd) == 0;
	if (!done)
		text_print(message, "%s: ca-%u is made, but may not outlast a power failure: %s", directory, *number,
			   strerror(errno));
Exit:
	close(fd);
	X509_free(certificate);
	EVP_PKEY_free(key);
	ca_provider_close(&provider);
	return done;
}
