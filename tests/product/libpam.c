/* Stands for libpam: one password is right, and some names bring trouble. Only the functions that divvyd
 * uses are here, as Linux-PAM's public header declares them. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pam_message { int msg_style; const char *msg; };
struct pam_response { char *resp; int resp_retcode; };
struct pam_conv {
    int (*conv)(int, const struct pam_message **, struct pam_response **, void *);
    void *appdata_ptr;
};

enum { SUCCESS = 0, SYSTEM_ERR = 4, AUTH_ERR = 7, USER_UNKNOWN = 10, ACCT_EXPIRED = 13, CONV_ERR = 19 };
enum { ECHO_OFF = 1, ECHO_ON = 2, TEXT_INFO = 4 };
enum { ITEM_RHOST = 4, ITEM_FAIL_DELAY = 10 };

static struct { const char *user; struct pam_conv conv; int has_source, has_delay; } attempt;

int pam_start(const char *service, const char *user, const struct pam_conv *conv, void **handle)
{
    if (strcmp(service, "divvy") != 0)
        return SYSTEM_ERR;
    attempt.user = strdup(user);
    attempt.conv = *conv;
    *handle = &attempt;
    return SUCCESS;
}

int pam_end(void *handle, int status)
{
    return handle == &attempt ? status : SYSTEM_ERR;
}

int pam_set_item(void *handle, int item, const void *value)
{
    (void)handle;
    if (item == ITEM_RHOST)
        attempt.has_source = strlen(value) > 0;
    if (item == ITEM_FAIL_DELAY)
        attempt.has_delay = value != NULL;
    return SUCCESS;
}

/* Asks for one thing, after telling another, as modules do. */
static int ask(int style, char **answer)
{
    struct pam_message told = { TEXT_INFO, "Welcome" }, asked = { style, "Password: " };
    const struct pam_message *messages[] = { &told, &asked };
    struct pam_response *responses = NULL;
    int code = attempt.conv.conv(2, messages, &responses, attempt.conv.appdata_ptr);
    *answer = NULL;
    if (code == SUCCESS) {
        *answer = responses[1].resp;
        free(responses[0].resp);
        free(responses);
    }
    return code;
}

int pam_authenticate(void *handle, int flags)
{
    char *password;
    int code, is_right;
    (void)handle, (void)flags;
    if (!attempt.has_source || !attempt.has_delay)
        return SYSTEM_ERR;
    if (strcmp(attempt.user, "crash") == 0)
        abort();
    if (strcmp(attempt.user, "broken") == 0)
        return SYSTEM_ERR;
    code = ask(strcmp(attempt.user, "visible") == 0 ? ECHO_ON : ECHO_OFF, &password);
    if (code != SUCCESS)
        return code;
    is_right = strcmp(password, "right \"pass\\word\" \xc3\xa4") == 0;
    free(password);
    if (strcmp(attempt.user, "factors") == 0)
        return ask(ECHO_OFF, &password) == CONV_ERR ? AUTH_ERR : SUCCESS;
    if (strcmp(attempt.user, "nobody-here") == 0)
        return USER_UNKNOWN;
    return is_right ? SUCCESS : AUTH_ERR;
}

int pam_acct_mgmt(void *handle, int flags)
{
    (void)handle, (void)flags;
    return strcmp(attempt.user, "bin") == 0 ? ACCT_EXPIRED : SUCCESS;
}
